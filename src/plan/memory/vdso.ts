import { type Address, address, fileOffset, hex, PAGE_SIZE, plus } from "../../bytes/address.ts";
import { contains, intersect, lengthOf, overlaps, type Range } from "../../bytes/range.ts";
import { refuse } from "../../errors.ts";
import { caution, note } from "../../finding.ts";
import type { Backing, Memory, Task } from "../../forest/task.ts";
import { EEXIST, errorResult } from "../../linux/errno.ts";
import { iovec } from "../../linux/io.ts";
import { MAP, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import { ARCH } from "../../linux/prctl.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { NO_FILE } from "./map.ts";
import { redirect } from "./vdso-functions.ts";

/** No vdso has had more than a few pages. */
const MOST = 1n << 16n;

/** What stops mmap(2) where something is mapped already. */
const FRESH = BigInt(MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE);

/**
 * The code that the kernel lends every process, and the clocks it reads. The same kernel maps its own where it was, code and
 * clocks at once. Another kernel's vdso comes back as ordinary memory, its functions redirected.
 *
 * @throws NecromancerError ERR_TASK_UNRUNNABLE where the dead's vdso has no bytes, or more than a vdso can have.
 */
export function planVdso(task: Task, context: Context): Part {
	const { memory } = task;
	const vdso = rangeOf(memory, "vdso");
	if (vdso === undefined) return context.draft.made();
	const vvar = rangeOf(memory, "vvar");
	const image = imageOf(memory, vdso);
	if (isOurs(image, vdso, vvar, memory, context)) {
		if (image === undefined)
			context.draft.report(
				caution(
					"vdso",
					`vdso at ${hex(vdso.start)}`,
					"its bytes were not saved; this kernel's is taken for the same, as it has the same size",
				),
			);
		mapHosts(plus(vdso.start, -context.facts.vdso.vvarLength), "where it was", context);
		return context.draft.made();
	}
	replace(image ?? lost(vdso), vdso, vvar, task, context);
	return context.draft.made();
}

const lost = (vdso: Range): never =>
	refuse("ERR_TASK_UNRUNNABLE", {
		subject: `vdso at ${hex(vdso.start)}`,
		finding: "has no bytes in the images",
		expectation: "expected all of it: this kernel's is another",
	});

/** One range, even where mprotect(2) or an older kernel made several mappings of it. */
function rangeOf(memory: Memory, kind: Backing["kind"]): Range | undefined {
	const parts = memory.mappings.filter(({ backing }) => backing.kind === kind);
	const [first] = parts;
	const last = parts.at(-1);
	if (first === undefined || last === undefined) return undefined;
	const range = { start: first.start, end: last.end };
	const length = parts.reduce((sum, part) => sum + lengthOf(part), 0n);
	if (length !== lengthOf(range) || length > MOST)
		return refuse("ERR_TASK_UNRUNNABLE", {
			subject: `${kind} at ${hex(range.start)}`,
			finding: `has ${length} bytes up to ${hex(range.end)}`,
			expectation: `expected one range of at most ${MOST}`,
		});
	return range;
}

function imageOf({ contents }: Memory, vdso: Range): Uint8Array | undefined {
	const image = new Uint8Array(Number(lengthOf(vdso)));
	let held = 0n;
	for (const { start, available, source, offset } of contents) {
		const part = intersect(vdso, { start, end: plus(start, available) });
		if (part === undefined) continue;
		const bytes = source.read(fileOffset(offset + (part.start - start)), Number(lengthOf(part)));
		if (bytes === undefined) return undefined;
		image.set(bytes, Number(part.start - vdso.start));
		held += lengthOf(part);
	}
	return held >= lengthOf(vdso) ? image : undefined;
}

/** Whether the kernel can put its own where the dead's was, clocks directly below the code, and nobody would notice. */
function isOurs(
	image: Uint8Array | undefined,
	vdso: Range,
	vvar: Range | undefined,
	memory: Memory,
	{ facts, hole }: Context,
): boolean {
	const ours = facts.vdso;
	const same =
		image === undefined ? lengthOf(vdso) === BigInt(ours.image.length) : Buffer.compare(image, ours.image) === 0;
	const start = plus(vdso.start, -ours.vvarLength);
	if (!same || vdso.start < ours.vvarLength) return false;
	if (vvar !== undefined) return vvar.start === start && vvar.end === vdso.start;
	const clocks = { start, end: vdso.start };
	return !overlaps(clocks, hole) && !memory.mappings.some((mapping) => overlaps(mapping, clocks));
}

/**
 * ARCH_MAP_VDSO_64 takes the address as a wish, and `clear` has unmapped the one the carrier had. That the place is taken
 * afterwards shows that the wish was granted.
 */
function mapHosts(start: Address, where: string, { draft, facts }: Context): void {
	const leader = draft.leader;
	const size = BigInt(facts.vdso.image.length);
	leader.add("vdso", "arch_prctl", [BigInt(ARCH.MAP_VDSO_64), start], `this kernel's vdso ${where}`, {
		expect: { exactly: size },
	});
	leader.add("vdso", "mmap", [start, PAGE_SIZE, 0n, FRESH, NO_FILE, 0n], "make sure that it is there", {
		expect: { exactly: BigInt.asUintN(64, errorResult(EEXIST)) },
	});
}

function replace(
	image: Uint8Array,
	vdso: Range,
	vvar: Range | undefined,
	{ identity, memory, threads }: Task,
	context: Context,
): void {
	const { draft, facts, ids } = context;
	const leader = draft.leader;
	const { image: ours, vvarLength } = facts.vdso;
	const start = context.reserve(vvarLength + BigInt(ours.length) + PAGE_SIZE);
	// vdso=0 on the kernel's command line: then all of them become system calls
	if (ours.length > 0) mapHosts(start, "aside", context);
	const redirected = redirect(image, { image: ours, at: plus(start, vvarLength) });
	const length = lengthOf(vdso);
	const data = bytesDatum("vdso of the dead process", redirected.image);
	const from = bytesDatum("where the vdso is", iovec.encode({ iov_base: 0n, iov_len: length }), {
		pointers: [{ at: iovec.offsetOf("iov_base"), to: data }],
	});
	const to = bytesDatum("where the vdso was", iovec.encode({ iov_base: vdso.start, iov_len: length }));
	const mapped = (range: Range, prot: number, why: string): void =>
		leader.add("vdso", "mmap", [range.start, lengthOf(range), BigInt(prot), FRESH, NO_FILE, 0n], why, {
			expect: { exactly: range.start },
		});
	mapped(vdso, PROT_READ | PROT_WRITE, "room for the vdso of another kernel");
	leader.add("vdso", "process_vm_writev", [ids.arg(identity.pid), from, 1n, to, 1n, 0n], "its functions, redirected", {
		expect: { exactly: length },
	});
	const prot = memory.mappings.find(({ backing }) => backing.kind === "vdso")?.prot ?? 0;
	leader.add("vdso", "mprotect", [vdso.start, length, BigInt(prot)], "as a vdso is protected");
	if (vvar !== undefined) mapped(vvar, PROT_READ, "clocks that stand still: whoever reads them asks the kernel");
	const { jumps, calls, left } = redirected;
	const how = left.length === 0 ? note : caution;
	draft.report(
		how(
			"vdso",
			`vdso at ${hex(vdso.start)}`,
			`is another kernel's; ${jumps.length} functions go on in this kernel's, ${calls.length} are system calls${
				left.length === 0 ? "" : `, and these are left as they were: ${left.join(", ")}`
			}`,
		),
	);
	for (const { tid, registers } of threads)
		if (contains(vdso, address(registers.ip)))
			draft.report(
				caution(
					"vdso",
					`thread ${tid}`,
					`was inside the vdso, at ${hex(registers.ip)}; what it goes on with may be wrong, as another kernel's clocks are gone`,
				),
			);
}
