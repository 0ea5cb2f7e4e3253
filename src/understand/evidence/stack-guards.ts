import { type Address, address, hex, isPageAligned, plus } from "../../bytes/address.ts";
import { byStart, rangeAt } from "../../bytes/range.ts";
import { type Finding, note } from "../../finding.ts";
import type { PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import type { Mapping, Memory } from "../../forest/task.ts";
import { type ControlBlock, controlBlocks } from "./control-blocks.ts";

/** In a row: glibc's `stackblock`, `stackblock_size`, `guardsize` and `reported_guardsize` (nptl/descr.h). */
const [SIZE, GUARD, REPORTED, ROW] = [8, 16, 24, 32] as const;

/** No guard is larger than is looked at, bytes. */
const LARGEST = 1n << 20n;

/**
 * Memory with the guards of its threads' stacks. folklore: glibc 2.42 and later does not take access from the lowest pages of a stack,
 * which a core shows, but marks them as guard regions (MADV_GUARD_INSTALL, Linux 6.13), which look like pages that were never
 * touched; its own record of the stack says that they are a guard. Of other guard regions nothing tells.
 */
export function withStackGuards(
	memory: Memory,
	dead: PartialTask,
	stacks: readonly StackRecord[],
	report: (finding: Finding) => void,
): Memory {
	const guards = stacks.flatMap((record) => guardOf(record, dead.memory, memory));
	const [first] = guards;
	if (first === undefined) return memory;
	report(
		note(
			"thread-deduced",
			`${guards.length} thread${guards.length === 1 ? "" : "s"}`,
			`the lowest pages of their stacks are guard regions, from ${hex(first.start)} on, as glibc's records have it`,
		),
	);
	return { ...memory, mappings: [...memory.mappings, ...guards].sort(byStart) };
}

/** The memory of a thread's stack, as glibc's record of it has it. */
export interface StackRecord {
	readonly tid: number;
	readonly start: Address;
	/** Bytes, with the guard. */
	readonly size: bigint;
	/** Bytes from `start` on; 0 for a stack that the program brought itself. */
	readonly guard: bigint;
	/** The thread's control block, at its top. */
	readonly block: Address;
}

/** The stacks of threads but the first, where their control blocks tell. */
export function stackRecords({ threads, memory }: Pick<PartialTask, "threads" | "memory">): StackRecord[] {
	const pointers = new Map(threads.map(({ tid, registers }) => [tid, registers.sp]));
	return controlBlocks(threads, memory).flatMap((block) => recordOf(block, pointers.get(block.tid) ?? 0n));
}

function recordOf({ tid, at, bytes }: ControlBlock, sp: bigint): StackRecord[] {
	for (let row = 0; row + ROW <= bytes.length; row += 8) {
		const start = address(bytes.readBigUInt64LE(row));
		const size = bytes.readBigUInt64LE(row + SIZE);
		const guard = bytes.readBigUInt64LE(row + GUARD);
		const pages = isPageAligned(start) && isPageAligned(size) && isPageAligned(guard) && guard <= LARGEST;
		// the block itself lies at the top of the stack that it describes
		if (!pages || start >= at || start + size <= at || guard >= size) continue;
		if (bytes.readBigUInt64LE(row + REPORTED) > guard) continue;
		// with no guard to speak for it, the thread must be on it
		if (guard === 0n && (sp < start || sp >= at)) continue;
		return [{ tid, start, size, guard, block: at }];
	}
	return [];
}

function guardOf({ start, guard, block }: StackRecord, dead: PartialMemory, { mappings }: Memory): Mapping[] {
	const mapping = rangeAt(mappings, start);
	// where access was taken it is another mapping, and what is written to is no guard
	if (guard === 0n || mapping === undefined || mapping.end < block || mapping.shared || mapping.prot === 0) return [];
	if (dead.read(start, Number(guard))?.some((byte) => byte !== 0) === true) return [];
	const end = plus(start, guard);
	return [{ start, end, prot: 0, shared: false, backing: { kind: "guard" }, flags: 0, advice: 0n }];
}
