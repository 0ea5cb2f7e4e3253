import { lengthOf } from "../../bytes/range.ts";
import { loss } from "../../finding.ts";
import type { Mapping } from "../../forest/task.ts";
import { EINVAL } from "../../linux/errno.ts";
import { MADV, MAP, MAP_HUGE_MASK, MAP_HUGE_SHIFT, PROT_EXEC, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import type { Arg } from "../../program/args.ts";
import type { Context } from "../context.ts";
import { mappedGhost } from "../files/ghosts.ts";
import { lastOf, useOfMapping } from "../inputs.ts";
import { nameOf } from "./classify.ts";

/** mlock2(2) */
export const MLOCK_ONFAULT = 1n;

/** "No file", as mmap(2) wants it. */
export const NO_FILE = -1n;

const PROT = PROT_READ | PROT_WRITE | PROT_EXEC;

/** Flags of a mapping that mean something when it is made; those that old programs pass and the kernel ignores do not. */
const KEPT = MAP.DROPPABLE | MAP.GROWSDOWN | MAP.LOCKED | MAP.NORESERVE | MAP.STACK;

/** Protection of mmap(2) and mprotect(2), without bits that neither keeps. */
export const protOf = ({ prot }: Mapping): number => prot & PROT;

/** Huge pages of a size: HUGETLB with the size's bits, or 0. */
export const hugetlbOf = ({ flags }: Mapping): number =>
	(flags & MAP.HUGETLB) === 0 ? 0 : (flags & (MAP.HUGETLB | (MAP_HUGE_MASK << MAP_HUGE_SHIFT))) >>> 0;

/** Flags of mmap(2) for a mapping that has a file. Never FIXED: what is there already is a mistake, and must stay one. */
export function flagsOf({ flags: all, shared, attributes }: Mapping): number {
	// MAP_LOCKED would bring all pages at once
	const flags = attributes?.["locked-on-fault"] === 1n ? all & ~MAP.LOCKED : all;
	const droppable = (flags & MAP.DROPPABLE) !== 0 && !shared;
	const type = shared ? MAP.SHARED : droppable ? 0 : MAP.PRIVATE;
	return type | MAP.FIXED_NOREPLACE | (flags & KEPT & ~(droppable ? 0 : MAP.DROPPABLE));
}

/** Private anonymous memory: heap, stacks, arenas, reservations. */
export function mapAnonymous(mappings: readonly Mapping[], writable: ReadonlySet<Mapping>, context: Context): void {
	for (const mapping of mappings) {
		const { backing } = mapping;
		if (backing.kind !== "anonymous") continue;
		const flags = (flagsOf(mapping) | MAP.ANONYMOUS | hugetlbOf(mapping)) >>> 0;
		map(mapping, protWhileFilling(mapping, writable), flags, NO_FILE, 0n, backing.role ?? "anonymous memory", context);
	}
}

/** Files are open already. */
export function mapFiles(mappings: readonly Mapping[], writable: ReadonlySet<Mapping>, context: Context): void {
	for (const mapping of mappings) {
		const { backing } = mapping;
		if (backing.kind !== "file") continue;
		const { path, offset, ghost } = backing;
		const use = useOfMapping(mapping);
		const input = ghost === undefined ? context.inputs.file(path, use) : context.inputs.made(mappedGhost(ghost, use));
		map(mapping, protWhileFilling(mapping, writable), flagsOf(mapping), { input }, offset, lastOf(path), context);
	}
}

/** One mapping at its place. */
export function map(
	mapping: Mapping,
	prot: number,
	flags: number,
	file: Arg,
	offset: bigint,
	what: string,
	context: Context,
): void {
	const args = [mapping.start, lengthOf(mapping), BigInt(prot), BigInt(flags), file, offset] as const;
	const leader = context.draft.leader;
	leader.add("map", "mmap", args, what, { expect: { exactly: mapping.start } });
	if (mapping.attributes?.["locked-on-fault"] === 1n)
		leader.add("map", "mlock2", [mapping.start, lengthOf(mapping), MLOCK_ONFAULT], "its pages are locked as they come");
}

/** What private memory is mapped with until its bytes are in. */
export const protWhileFilling = (mapping: Mapping, writable: ReadonlySet<Mapping>): number =>
	protOf(mapping) | (writable.has(mapping) ? PROT_WRITE : 0);

/** Advice that lasts, in the order of its number; all other numbers are deeds, some of which destroy what was filled in. */
const LASTING: readonly number[] = [
	...[MADV.RANDOM, MADV.SEQUENTIAL, MADV.DONTFORK, MADV.MERGEABLE],
	...[MADV.HUGEPAGE, MADV.NOHUGEPAGE, MADV.DONTDUMP, MADV.WIPEONFORK],
];

/** Answers of kernels that were built without the feature (KSM, transparent huge pages). */
const optional: ReadonlySet<number> = new Set([MADV.MERGEABLE, MADV.HUGEPAGE, MADV.NOHUGEPAGE]);

export const isAdvised = ({ advice }: Mapping, number: number): boolean => ((advice >> BigInt(number)) & 1n) === 1n;

/** Given before the pages come: it decides of which kind they are, and the rest does not mind. */
export function advise(mappings: readonly Mapping[], { draft }: Context): void {
	const leader = draft.leader;
	for (const mapping of mappings) {
		if (mapping.advice === 0n) continue;
		for (const number of LASTING.filter((number) => isAdvised(mapping, number)))
			leader.add("map", "madvise", [mapping.start, lengthOf(mapping), BigInt(number)], "as the program advised", {
				expect: optional.has(number) ? { successOr: EINVAL } : "success",
			});
		const lost = mapping.advice & ~LASTING.reduce((bits, number) => bits | (1n << BigInt(number)), 0n);
		if (lost !== 0n)
			draft.report(
				loss(
					"advice",
					nameOf(mapping),
					`advice of mask 0x${lost.toString(16)} is not given again: it is no lasting advice`,
				),
			);
	}
}
