import { type Address, address, hex, plus } from "../../bytes/address.ts";
import { contains, type Range, rangeAt } from "../../bytes/range.ts";
import { caution, type Finding, note } from "../../finding.ts";
import type { PartialMapping, PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import type { Bounds, Task } from "../../forest/task.ts";
import { AT } from "../../linux/auxv.ts";
import { PROT_WRITE } from "../../linux/mman.ts";

interface CompletedBounds {
	readonly bounds: Bounds;
	/** For the rebase. */
	readonly anchors: { readonly heap?: Range; readonly startStack: Address };
}

/**
 * `prctl_mm_map` of the dead process. Code and data move with the executable; arguments, environment and stack are found
 * on the dead stack; the heap is the first writable anonymous mapping above the executable.
 */
export function completeBounds(
	dead: PartialTask,
	donor: Task,
	programBreak: Address | undefined,
	report: (finding: Finding) => void,
): CompletedBounds {
	const { memory } = dead;
	const theirs = donor.memory.bounds;
	const executable = memory.mappings.filter((mapping) => mapping.file?.path === memory.executable);
	const first = executable[0];
	const donorsFirst = donor.memory.mappings.find(
		(mapping) => mapping.backing.kind === "file" && mapping.backing.path === donor.memory.executable,
	);
	const slide = first === undefined || donorsFirst === undefined ? 0n : first.start - donorsFirst.start;
	const stack = stackOf(dead, report);
	// folklore: node (seen with 20) maps parts of its own executable again, far from where it was loaded
	const loaded = executable.filter(({ start }) => start < theirs.endData + slide);
	const heap = heapOf(memory, loaded.length === 0 ? executable : loaded, stack.startStack, programBreak, {
		start: plus(theirs.startBrk, slide),
		used: theirs.startBrk < theirs.brk,
		below: donorsFirst !== undefined && theirs.startBrk < donorsFirst.start,
	});
	if (programBreak === undefined) report(breakGuessed(heap.end));
	return {
		bounds: {
			startCode: plus(theirs.startCode, slide),
			endCode: plus(theirs.endCode, slide),
			startData: plus(theirs.startData, slide),
			endData: plus(theirs.endData, slide),
			startStack: stack.startStack,
			argStart: stack.argStart,
			argEnd: stack.argEnd,
			envStart: stack.envStart,
			envEnd: stack.envEnd,
			startBrk: heap.start,
			brk: heap.end,
		},
		anchors: { ...(heap.start < heap.end ? { heap } : {}), startStack: stack.startStack },
	};
}

export const breakGuessed = (at: Address): Finding =>
	note("brk-guessed", `program break ${hex(at)}`, "the end of the heap mapping; libc's own variable was not found");

type StackPart = Pick<Bounds, "startStack" | "argStart" | "argEnd" | "envStart" | "envEnd">;

/** Arguments, environment and stack; where the dead stack does not tell, addresses that the kernel accepts. */
export function stackOf(dead: PartialTask, report: (finding: Finding) => void): StackPart {
	const { stack } = dead.memory;
	if (stack.kind === "found") return stack;
	report(caution("stack-guessed", dead.name, `${stack.reason}; ps and /proc/PID/cmdline may show wrong arguments`));
	if (stack.kind === "guessed") return stack;
	const at = placeOnStack(dead);
	return { startStack: at, argStart: at, argEnd: at, envStart: at, envEnd: at };
}

/**
 * An address on the main stack: the leader's stack pointer; where that is not mapped, what execve(2) put there (AT_RANDOM,
 * AT_EXECFN).
 */
function placeOnStack({ threads, memory: { mappings, auxv } }: PartialTask): Address {
	const known = [
		threads[0]?.registers.sp,
		...[AT.RANDOM, AT.EXECFN].map((wanted) => auxv.find(({ type }) => type === wanted)?.value),
	];
	const mapped = known.find((at) => at !== undefined && rangeAt(mappings, address(at)) !== undefined);
	return mapped === undefined ? (mappings.at(-1)?.start ?? address(0n)) : address(mapped);
}

/** How far above .bss the kernel puts the heap at most (arch_randomize_brk, arch/x86/kernel/process.c). */
export const FARTHEST_HEAP = 1n << 30n;

/**
 * The heap. Where libc's own break is known, the mapping that ends there. Else the first writable anonymous mapping above
 * .bss and within the kernel's randomisation; without randomisation it directly follows, and the two may have become one
 * VMA: then it starts where the donor's did, in the executable's terms. Static PIEs have it far below themselves
 * (fs/binfmt_elf.c moves their brk out of the mmap area).
 */
function heapOf(
	memory: PartialMemory,
	executable: readonly PartialMapping[],
	startStack: Address,
	programBreak: Address | undefined,
	donors: { readonly start: Address; readonly used: boolean; readonly below: boolean },
): Range {
	const last = executable.at(-1);
	const end = programBreak ?? donors.start;
	// how far a static PIE's heap is from it is random, and not the donor's distance
	const otherwise = heapUpTo(memory, programBreak, last?.end ?? end) ?? { start: end, end };
	if (last === undefined) return otherwise;
	const above = memory.mappings.filter((mapping) => donors.below || mapping.start >= last.end);
	let bss = last.end;
	for (const [i, mapping] of above.entries()) {
		if (mapping.file !== undefined || mapping.kernel !== undefined || contains(mapping, startStack)) return otherwise;
		const shared = donors.used && contains(mapping, donors.start);
		if (mapping.start === bss && !shared) {
			bss = mapping.end;
			continue;
		}
		const far = mapping.start - (donors.below ? donors.start : bss);
		if (((mapping.prot ?? 0) & PROT_WRITE) === 0 || far > FARTHEST_HEAP || far < -FARTHEST_HEAP) return otherwise;
		const found = { start: shared ? donors.start : mapping.start, end: endOfRun(above, i) };
		if (programBreak === undefined) return found;
		return found.start <= programBreak && programBreak <= found.end
			? { start: found.start, end: programBreak }
			: otherwise;
	}
	return otherwise;
}

/**
 * The heap that ends at libc's break: the anonymous mappings around it, down to .bss, with which they are one VMA where
 * addresses are not randomised. Empty where nothing is mapped there; `undefined` for a break that lies in something else.
 */
export function heapUpTo({ mappings }: PartialMemory, end: Address | undefined, bss: Address): Range | undefined {
	if (end === undefined) return undefined;
	const last = mappings.findIndex((mapping) => mapping.start < end && end <= mapping.end);
	const holder = mappings[last];
	if (holder === undefined || !isAnonymous(holder)) return holder === undefined ? { start: end, end } : undefined;
	let { start } = holder;
	for (let i = last - 1; start > bss && mappings[i]?.end === start && isAnonymous(mappings[i]); i--)
		start = mappings[i]?.start ?? start;
	return { start: start < bss && bss <= end ? bss : start, end };
}

/** Where the anonymous mappings that follow one another without a gap end: mprotect splits a heap into several. */
export function endOfRun(mappings: readonly PartialMapping[], from: number): Address {
	let end = mappings[from]?.end ?? address(0n);
	for (const next of mappings.slice(from + 1)) {
		if (next.start !== end || next.file !== undefined || next.kernel !== undefined) break;
		end = next.end;
	}
	return end;
}

export const isAnonymous = (mapping: PartialMapping | undefined): boolean =>
	mapping !== undefined && mapping.file === undefined && mapping.kernel === undefined;
