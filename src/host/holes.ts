import { fstatSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import type { Slot } from "../agent/batch.ts";
import { fileOffset } from "../bytes/address.ts";
import type { FileRange } from "../bytes/range.ts";
import { attempt, type ByteSource } from "../bytes/source.ts";
import { NecromancerError } from "../errors.ts";
import { SEEK } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { pathOfLink } from "../proc/links.ts";
import { withAgent } from "./facts.ts";

/** st_blocks counts in these, whatever the file system's own are. */
const BLOCK = 512n;

/** Below this, asking costs more than reading zeros. */
const WORTH_ASKING = 16n << 20n;

/** Holes that one request asks for. */
const AT_ONCE = 500;

/** The most holes that are listed for a fragmented file; the rest is read as data. */
const MOST_HOLES = 100_000;

/**
 * Where a file has nothing on the disk, so that its zeros need not be read: a core of the kernel is as long as the
 * process's memory, and mostly hole. Node cannot ask, the agent can.
 *
 * @returns the holes, ascending; none where the file has next to none, or where this host has no answer.
 */
export async function holesOf(source: ByteSource): Promise<readonly FileRange[]> {
	const { fd } = source;
	if (fd === undefined) return [];
	const { blocks } = attempt(source.name, () => fstatSync(fd, { bigint: true }));
	if (blocks * BLOCK + WORTH_ASKING > source.size) return [];
	try {
		return await withAgent((agent) => askForHoles(agent, fd, source.size));
	} catch (error) {
		// where no agent runs, zeros are read
		if (error instanceof NecromancerError) return [];
		throw error;
	}
}

async function askForHoles(agent: Agent, fd: number, size: bigint): Promise<FileRange[]> {
	// by our fd: the same file even if it was renamed
	const path = Buffer.from(`${pathOfLink(process.pid, `fd/${fd}`)}\0`);
	const file = await agent.call("open", path, BigInt(O.RDONLY | O.CLOEXEC));
	const holes: FileRange[] = [];
	for (let from = file < 0n ? -1n : 0n; from >= 0n && holes.length < MOST_HOLES; ) {
		const batch = agent.batch();
		const rows: { readonly start: Slot; readonly end: Slot }[] = [];
		for (let i = 0; i < AT_ONCE; i += 1) {
			const before = rows.at(-1)?.end;
			const start = batch.call("lseek", file, before === undefined ? from : { valueOf: before }, SEEK.HOLE);
			rows.push({ start, end: batch.call("lseek", file, { valueOf: start }, SEEK.DATA) });
		}
		const done = await agent.perform(batch, { patience: 20_000, doing: "looking for holes" });
		for (const { start: startSpot, end: endSpot } of rows) {
			const [start, end] = [done.result(startSpot), done.result(endSpot)];
			// ENXIO: nothing follows
			from = end;
			if (start < 0n) break;
			holes.push({ start: fileOffset(start), end: fileOffset(end < 0n ? size : end) });
			if (end < 0n) break;
		}
	}
	return holes.filter(({ start, end }) => start < end);
}
