import { closeSync, openSync, readSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { type Address, address, hex, PAGE_SIZE, TASK_SIZE } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { attempt } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { EINVAL, ENOTTY, errnoName, failedWith } from "../linux/errno.ts";
import { PAGE_IS, PAGEMAP_SCAN, PM, pageRegion, pmScanArg } from "../linux/pagemap-scan.ts";
import { pathOfPagemap } from "../proc/links.ts";

/** Pages that a process has touched, in a row and of one kind. */
export interface TouchedRange extends Range {
	/** They are the pages of a file or of shared memory: nothing that the mapping would not show by itself. */
	readonly ofFile: boolean;
	/** Whoever touches them gets SIGSEGV (MADV_GUARD_INSTALL); they hold nothing. */
	readonly guard: boolean;
}

/**
 * The pages of a process that are in memory or swapped out, ascending; pages of zeros that were only read are left out where
 * the kernel tells them apart.
 *
 * @param ranges Where to look on a kernel that does not skip what is empty by itself (before 6.7). Ascending.
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function touchedPages(
	agent: Agent,
	pid: number,
	ranges: readonly Range[],
): Promise<readonly TouchedRange[]> {
	return (await scanPages(agent, pid)) ?? pagesByPagemap(pid, ranges);
}

/** Regions that the first request brings back: all of most processes. Then as many as fit: room for them takes time, also empty. */
const [AT_FIRST, AT_ONCE] = [400, 8000] as const;

/**
 * The same by PAGEMAP_SCAN (Linux 6.7), bit by bit what it knows: guards came with 6.15. The first request is sent before
 * this returns, so whoever has something else to do meanwhile may do it.
 *
 * @returns `undefined` where the kernel has it not.
 * @throws NecromancerError ERR_HOST
 */
export async function scanPages(agent: Agent, pid: number): Promise<readonly TouchedRange[] | undefined> {
	for (const guard of [PAGE_IS.GUARD, 0n]) {
		const found = await scanFor(agent, pid, guard);
		if (found !== undefined) return found;
	}
	return undefined;
}

async function scanFor(agent: Agent, pid: number, guard: bigint): Promise<readonly TouchedRange[] | undefined> {
	const found: TouchedRange[] = [];
	for (let start = 0n, most: number = AT_FIRST; start < TASK_SIZE; most = AT_ONCE) {
		const batch = agent.batch();
		const vec = batch.space(most * pageRegion.size);
		const arg = batch.put(
			pmScanArg.encode({
				...{ size: BigInt(pmScanArg.size), flags: 0n, start, end: TASK_SIZE, walk_end: 0n },
				...{ vec: vec.at, vec_len: BigInt(most), max_pages: 0n },
				...{ category_inverted: PAGE_IS.PFNZERO, category_mask: PAGE_IS.PFNZERO },
				category_anyof_mask: PAGE_IS.PRESENT | PAGE_IS.SWAPPED,
				return_mask: PAGE_IS.FILE | guard,
			}),
		);
		const fd = batch.call("open", batch.put(Buffer.from(`${pathOfPagemap(pid)}\0`)), 0);
		const result = batch.call("ioctl", { valueOf: fd }, PAGEMAP_SCAN, arg);
		batch.call("close", { valueOf: fd });
		const done = await agent.perform(batch, { patience: 60_000, doing: `looking at the pages of process ${pid}` });
		if (done.result(fd) < 0n) return undefined;
		const count = done.result(result);
		if (failedWith(count, ENOTTY, EINVAL)) return undefined;
		if (count < 0n)
			refuse("ERR_HOST", {
				subject: pathOfPagemap(pid),
				finding: `PAGEMAP_SCAN at ${hex(start)} failed with ${errnoName(Number(count))}`,
			});
		const regions = done.bytes(vec);
		for (let i = 0; i < Number(count); i++) {
			const region = pageRegion.decode(regions.subarray(i * pageRegion.size));
			found.push({
				start: address(region.start),
				end: address(region.end),
				ofFile: (region.categories & PAGE_IS.FILE) !== 0n,
				guard: (region.categories & PAGE_IS.GUARD) !== 0n,
			});
		}
		const { walk_end } = pmScanArg.decode(done.bytes(arg));
		if (walk_end <= start) break;
		start = walk_end;
	}
	return found;
}

/** Bytes of pagemap that are read at a time: 8 for a page. */
const CHUNK = 1 << 20;

/**
 * The same by the words of /proc/PID/pagemap themselves: 8 bytes for every page of a range, empty or not. Pages of zeros are
 * among them, and guards are not.
 *
 * @throws NecromancerError ERR_IO
 */
export function pagesByPagemap(pid: number, ranges: readonly Range[]): readonly TouchedRange[] {
	const name = pathOfPagemap(pid);
	const fd = attempt(name, () => openSync(name, "r"));
	const found: { start: Address; end: Address; ofFile: boolean; guard: boolean }[] = [];
	const buffer = Buffer.alloc(CHUNK);
	try {
		for (const range of ranges) {
			for (let at: bigint = range.start; at < range.end; ) {
				const left = Number((range.end - at) / PAGE_SIZE) * 8;
				const position = (at / PAGE_SIZE) * 8n;
				const count = attempt(name, () => readSync(fd, buffer, 0, Math.min(CHUNK, left), position));
				if (count < 8) break;
				const words = new BigUint64Array(buffer.buffer, buffer.byteOffset, count >> 3);
				for (const [i, word] of words.entries()) if (word >= PM.SWAP) add(found, at + BigInt(i) * PAGE_SIZE, word);
				at += BigInt(count >> 3) * PAGE_SIZE;
			}
		}
	} finally {
		closeSync(fd);
	}
	return found;
}

function add(
	found: { start: Address; end: Address; ofFile: boolean; guard: boolean }[],
	at: bigint,
	word: bigint,
): void {
	const ofFile = (word & PM.FILE) !== 0n;
	const guard = (word & PM.GUARD) !== 0n;
	const last = found.at(-1);
	const end = address(at + PAGE_SIZE);
	if (last !== undefined && last.end === at && last.ofFile === ofFile && last.guard === guard) last.end = end;
	else found.push({ start: address(at), end, ofFile, guard });
}
