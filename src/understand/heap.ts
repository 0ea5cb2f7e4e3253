import { type Address, address } from "../bytes/address.ts";
import { contains, type Range } from "../bytes/range.ts";
import type { PartialMapping, PartialMemory } from "../forest/partial-task.ts";
import { PROT_WRITE } from "../linux/mman.ts";

/** How far above .bss the kernel puts the heap at most (arch_randomize_brk, arch/x86/kernel/process.c). */
const FARTHEST_HEAP = 1n << 30n;

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

/** The first writable anonymous mapping above .bss, as far as the kernel puts a heap. */
export function firstHeap({ mappings }: PartialMemory, bss: Address): Range {
	const at = mappings.findIndex(({ end }) => end > bss);
	const first = mappings[at];
	const none = { start: bss, end: bss };
	if (first === undefined || !isAnonymous(first) || ((first.prot ?? 0) & PROT_WRITE) === 0) return none;
	if (first.start - bss > FARTHEST_HEAP) return none;
	return { start: first.start < bss ? bss : first.start, end: endOfRun(mappings, at) };
}

/** A donor's heap, in the terms of the dead process's executable. */
export interface LentHeap {
	readonly start: Address;
	/** It was not empty. */
	readonly used: boolean;
	/** It lay below the executable. */
	readonly below: boolean;
}

/**
 * The heap by a donor's. Where libc's own break is known, the mapping that ends there. Else the first writable anonymous mapping above
 * .bss and within the kernel's randomisation; without randomisation it directly follows, and the two may have become one
 * VMA: then it starts where the donor's did. Static PIEs have it far below themselves (fs/binfmt_elf.c moves their brk out of
 * the mmap area).
 */
export function heapLike(
	donors: LentHeap,
	memory: PartialMemory,
	executable: readonly PartialMapping[],
	startStack: Address,
	programBreak: Address | undefined,
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

/** Where the anonymous mappings that follow one another without a gap end: mprotect splits a heap into several. */
function endOfRun(mappings: readonly PartialMapping[], from: number): Address {
	let end = mappings[from]?.end ?? address(0n);
	for (const next of mappings.slice(from + 1)) {
		if (next.start !== end || next.file !== undefined || next.kernel !== undefined) break;
		end = next.end;
	}
	return end;
}

export const isAnonymous = (mapping: PartialMapping | undefined): boolean =>
	mapping !== undefined && mapping.file === undefined && mapping.kernel === undefined;
