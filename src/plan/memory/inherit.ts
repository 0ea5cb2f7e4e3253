import type { Address } from "../../bytes/address.ts";
import { allWithin, type Placed, rangeOf, within } from "../../bytes/extent.ts";
import {
	byStart,
	firstEndingAbove,
	gaps,
	intersect,
	overlaps,
	type Range,
	rangeAt,
	united,
} from "../../bytes/range.ts";
import { contentParts } from "../../forest/content-parts.ts";
import type { Mapping, Memory, Task } from "../../forest/task.ts";
import { MAP } from "../../linux/mman.ts";
import { foundBy, type Inheritance, type InheritedMapping, type LeftMapping } from "../inheritance.ts";
import { pagesAlike } from "./alike.ts";

/*
 * Pages that a process has in common with those that come from it, as they had since fork(2): whoever makes the others fills them
 * first, and they find them in their memory. The kernel copies a page when one of them writes to it.
 */

/** A process by whom it makes. */
export interface Maker {
	readonly pid: number;
	/** Whoever does not live hands on what it finds, and is gone. */
	readonly lives: boolean;
	readonly makes: readonly Maker[];
}

/**
 * Who leaves what to whom, by process id; whoever is not in it has nothing to do with it.
 *
 * @param root makes the others, directly or not.
 * @param sameFiles whether both may open the same files.
 */
export function inheritanceOf(
	root: Maker,
	tasks: ReadonlyMap<number, Task>,
	sameFiles: (one: Task, other: Task) => boolean,
): ReadonlyMap<number, Inheritance> {
	const found = new Map<number, Inheritance>();
	const visit = ({ pid, lives, makes }: Maker, finds: readonly InheritedMapping[]): void => {
		const task = lives ? tasks.get(pid) : undefined;
		if (task === undefined) {
			for (const child of makes) visit(child, finds);
			return;
		}
		const heirs = makes.flatMap(livingOf).flatMap(({ pid }) => tasks.get(pid) ?? []);
		const leaves = heirs.length === 0 ? [] : leftBy(task, heirs, finds, sameFiles);
		const taken = leaves.map(({ mapping }) => mapping).sort(byStart);
		const keeps = finds.filter(({ mapping }) => {
			const next = taken[firstEndingAbove(taken, mapping.start)];
			return next === undefined || !overlaps(next, mapping);
		});
		const own: Inheritance = { leaves, keeps };
		if (leaves.length + keeps.length > 0) found.set(pid, own);
		for (const child of makes) visit(child, foundBy(own));
	};
	visit(root, []);
	return found;
}

const livingOf = (maker: Maker): readonly Maker[] => (maker.lives ? [maker] : maker.makes.flatMap(livingOf));

function leftBy(
	task: Task,
	heirs: readonly Task[],
	finds: readonly InheritedMapping[],
	sameFiles: (one: Task, other: Task) => boolean,
): readonly LeftMapping[] {
	const theirs = heirs.map((heir) => ({ heir, ...privateMemory(heir.memory) }));
	const before = byStartOf(finds);
	const left: LeftMapping[] = [];
	for (const [mapping, contents] of privateMemory(task.memory).contents) {
		if (!canBeLeft(mapping)) continue;
		const alike = new Map<Mapping, readonly Range[]>();
		for (const { heir, solid, contents: all } of theirs) {
			const same = rangeAt(solid, mapping.start);
			if (same === undefined || !isCounterpart(mapping, same)) continue;
			if (mapping.backing.kind === "file" && !sameFiles(task, heir)) continue;
			alike.set(same, pagesAlike(contents, all.get(same) ?? []));
		}
		const there = counterpartIn(before, mapping);
		// what was there before is there for its heirs too
		const known = there === undefined ? [] : pagesAlike(there.contents, contents);
		const pages = united([...alike.values()].flat().sort(byStart)).flatMap((range) => gaps(range, known));
		const fills = pages
			.flatMap((range) => intersect(range, (there ?? { mapping }).mapping) ?? [])
			.flatMap((range) => allWithin(contents, range));
		if (fills.length === 0) continue;
		if (there === undefined) left.push({ mapping, contents: fills, alike, fills, isNew: true });
		else left.push({ mapping: there.mapping, contents: over(there.contents, fills), fills, isNew: false });
	}
	return left;
}

/** What is there when `news` has been written over it. */
const over = (old: readonly Placed<Address>[], news: readonly Placed<Address>[]): readonly Placed<Address>[] =>
	[...without(old, news.map(rangeOf)), ...news].sort(byStart);

/** What of contents lies outside ranges. @param ranges Ascending, without overlaps. */
export const without = (contents: readonly Placed<Address>[], ranges: readonly Range[]): readonly Placed<Address>[] =>
	contents.flatMap((one) => gaps(rangeOf(one), ranges).flatMap((range) => within(one, range) ?? []));

/** Mappings but for guards, and the bytes of each private one that their sources have. */
function privateMemory({ mappings, contents }: Memory): {
	readonly solid: readonly Mapping[];
	readonly contents: ReadonlyMap<Mapping, readonly Placed<Address>[]>;
} {
	const solid = mappings.filter(({ backing: { kind } }) => kind !== "guard" && kind !== "vsyscall");
	const found = new Map<Mapping, Placed<Address>[]>();
	for (const content of contents)
		for (const { mapping, ...part } of contentParts(content, solid)) {
			const parts = found.get(mapping) ?? [];
			found.set(mapping, parts);
			parts.push(part);
		}
	return { solid, contents: found };
}

/** Locked, huge and droppable pages are not inherited, and policies have to be there before the pages. */
const UNLIKE = MAP.LOCKED | MAP.HUGETLB | MAP.DROPPABLE;

const canBeLeft = ({ shared, backing, flags, attributes = {} }: Mapping): boolean =>
	!shared &&
	(backing.kind === "anonymous" || backing.kind === "file") &&
	(flags & UNLIKE) === 0 &&
	Object.keys(attributes).length === 0;

/** By where they start. */
export const byStartOf = (all: readonly InheritedMapping[]): ReadonlyMap<Address, InheritedMapping> =>
	new Map(all.map((one) => [one.mapping.start, one]));

/** What of it can become a mapping. */
export function counterpartIn(
	all: ReadonlyMap<Address, InheritedMapping>,
	mapping: Mapping,
): InheritedMapping | undefined {
	const one = all.get(mapping.start);
	return one !== undefined && isCounterpart(one.mapping, mapping) ? one : undefined;
}

/** Whether what is mapped as one can become the other where it is. Only anonymous memory that grows upwards may have another end. */
function isCounterpart(one: Mapping, other: Mapping): boolean {
	const [a, b] = [one.backing, other.backing];
	if (one.start !== other.start || one.flags !== other.flags || !canBeLeft(one) || !canBeLeft(other)) return false;
	if (a.kind === "anonymous") {
		if (b.kind !== "anonymous") return false;
		return one.end === other.end || (one.flags & MAP.GROWSDOWN) === 0;
	}
	if (a.kind !== "file" || b.kind !== "file" || one.end !== other.end) return false;
	return a.path === b.path && a.offset === b.offset && a.ghost === b.ghost && a.writable === b.writable;
}
