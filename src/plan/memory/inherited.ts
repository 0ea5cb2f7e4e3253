import { type Address, address, PAGE_SIZE, plus, TASK_SIZE } from "../../bytes/address.ts";
import { allWithin, endOf, type Placed, rangeOf } from "../../bytes/extent.ts";
import { byStart, gaps, intersect, lengthOf, type Range } from "../../bytes/range.ts";
import type { Mapping, Memory } from "../../forest/task.ts";
import { MADV, PROT_WRITE } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import { foundBy, type Inheritance, type InheritedMapping, NO_INHERITANCE } from "../inheritance.ts";
import { inStage, type Part } from "../part.ts";
import { pagesAlike } from "./alike.ts";
import { addReads } from "./fill.ts";
import { byStartOf, counterpartIn, without } from "./inherit.ts";
import { mapAnonymous, mapFiles, protOf } from "./map.ts";
import { spaciousOf } from "./spacious.ts";

/**
 * Maps and fills what a process leaves to those that it makes, before it makes any of them.
 *
 * @param shared Memory of several processes, which lies there for all of them.
 */
export function planInheritance(memory: Memory, context: Context, shared: readonly Range[]): Part {
	const { hole, draft } = context;
	const { leaves, keeps } = inheritanceIn(context);
	if (leaves.length === 0) return draft.made();
	const there = leaves.flatMap(({ mapping, isNew }) => (isNew ? [] : [mapping]));
	const kept = [...shared, hole, ...keeps.map(({ mapping }) => mapping), ...there].sort(byStart);
	clearAllBut(kept, () => "everything that nobody is to have", context);
	const fresh = leaves.flatMap(({ mapping, isNew }) => (isNew ? [mapping] : []));
	const writable = new Set(fresh);
	mapFiles(fresh, writable, context);
	mapAnonymous(fresh, writable, context);
	const fills = leaves.flatMap((left) => left.fills).sort(byStart);
	addReads(fills, spaciousOf(fresh, memory, context), context);
	return inStage("inheritance", draft.made());
}

const inheritanceIn = ({ common }: Pick<Context, "common">): Inheritance => common?.inheritance ?? NO_INHERITANCE;

/** @param kept Ascending. @param why by where it begins, in words. */
export function clearAllBut(
	kept: readonly Range[],
	why: (start: Address) => string,
	{ draft }: Pick<Context, "draft">,
): void {
	for (const { start, end } of gaps({ start: address(0n), end: TASK_SIZE }, kept))
		draft.leader.add("clear", "munmap", [start, end - start], why(start));
}

/** What a process makes of the memory that it has found. */
export interface TakenMemory {
	/** What is there already, and has to be neither mapped nor cleared. */
	readonly taken: ReadonlyMap<Mapping, InheritedMapping>;
	/** Where it lies, ascending. */
	readonly ranges: readonly Range[];
	/** What has still to be filled in. */
	readonly contents: readonly Placed<Address>[];
	/** Pages that it has not: they become what they are when they are new. */
	readonly stale: readonly Range[];
	/** What they can be accessed for until their bytes are in. */
	readonly prots: ReadonlyMap<Mapping, number>;
}

/** @param contents of all its mappings, ascending. */
export function takeOver(
	mappings: readonly Mapping[],
	contents: readonly Placed<Address>[],
	context: Pick<Context, "common">,
): TakenMemory {
	const found = byStartOf(foundBy(inheritanceIn(context)));
	if (found.size === 0) return { taken: new Map(), ranges: [], contents, stale: [], prots: new Map() };
	const taken = new Map<Mapping, InheritedMapping>();
	const stale: Range[] = [];
	const known: Range[] = [];
	for (const mapping of mappings) {
		const there = counterpartIn(found, mapping);
		if (there === undefined) continue;
		taken.set(mapping, there);
		const own = allWithin(contents, mapping);
		known.push(...(there.alike?.get(mapping) ?? pagesAlike(there.contents, own)));
		const written = own.map(wholePages);
		for (const one of there.contents) {
			const part = intersect(rangeOf(one), mapping);
			if (part !== undefined) stale.push(...gaps(part, written));
		}
	}
	const ranges = [...taken].flatMap(([mapping, there]) => intersect(mapping, there.mapping) ?? []).sort(byStart);
	const prots = new Map([...taken].map(([mapping, there]) => [mapping, protOf(there.mapping) | PROT_WRITE]));
	return { taken, ranges, contents: without(contents, known.sort(byStart)), stale, prots };
}

/** A page that is filled in part has to be new. */
const wholePages = (content: Placed<Address>): Range => {
	const { start } = content;
	return { start, end: plus(start, content.length - ((endOf(content) - start) % PAGE_SIZE)) };
};

/** Makes what was found what it is to be: as long as the process has it, and without what it has not. */
export function trim({ taken, stale }: TakenMemory, { draft: { leader } }: Pick<Context, "draft">): void {
	for (const [mapping, there] of taken) {
		if (mapping.end <= there.mapping.end) continue;
		const { start } = mapping;
		leader.add("map", "mremap", [start, lengthOf(there.mapping), lengthOf(mapping), 0n, 0n], "it has grown since", {
			expect: { exactly: start },
		});
	}
	for (const { start, end } of stale)
		leader.add("map", "madvise", [start, end - start, BigInt(MADV.DONTNEED)], "pages that it had written to no more");
}
