import { type FileOffset, PAGE_SIZE } from "../bytes/address.ts";
import { allWithin, bytesOf, cut, endOf, least, type Placed, piecesOf, rangeOf, within } from "../bytes/extent.ts";
import { byStart } from "../bytes/range.ts";
import { caution, type Finding } from "../finding.ts";
import type { SharedObject, Task } from "../forest/task.ts";

/** What a core holds of memory that several processes have. */
export interface SharedPart {
	/** The core, as messages call it, and when it was written, nanoseconds since 1970, where that is known. */
	readonly name: string;
	readonly writtenAt?: bigint;
	readonly task: Task;
	readonly object: SharedObject;
}

/**
 * Memory of a donor's tree as the cores have it: of two cores that differ the one that was written last is believed, and where
 * none holds bytes they are the donor's. What it means for whom is said.
 *
 * @param pids Of the donor's processes that have it.
 * @param lent What the donor holds of it.
 * @returns nothing where it stays as the donor had it.
 */
export function contentsOfSeveral(
	parts: readonly SharedPart[],
	pids: readonly number[],
	lent: readonly Placed<FileOffset>[],
	report: (finding: Finding) => void,
): SharedObject | undefined {
	const subject = `memory of processes ${pids.join(", ")}`;
	const say = (text: string): void => report(caution("memory-of-several", subject, text));
	const holding = inOrder(parts.filter(({ object }) => object.contents.length > 0));
	const names = (some: readonly SharedPart[]): string => some.map(({ name }) => name).join(" and ");
	const without = parts.filter((part) => !holding.includes(part));
	if (without.length > 0)
		say(
			`is not in ${names(without)} (coredump_filter bit 1): it is as ${holding.length === 0 ? "the donor had it, at another time" : `${names(holding)} has it`}`,
		);
	const last = holding.at(-1);
	if (last === undefined) return undefined;
	let contents: readonly Placed<FileOffset>[] = lent;
	let before: SharedPart | undefined;
	for (const part of holding) {
		if (before !== undefined) {
			const pages = differentPages(before.object.contents, part.object.contents);
			if (pages > 0)
				say(
					`differs in ${pages} page${pages === 1 ? "" : "s"} between ${before.name} and ${part.name}: what ${part.name} holds is taken`,
				);
		}
		contents = onTop(contents, part.object.contents);
		before = part;
	}
	say(`is as ${last.name} holds it, for those too that did not die`);
	const size = parts.reduce((most, { object }) => (object.size > most ? object.size : most), 0n);
	return { ...last.object, size, contents };
}

/** By when they were written, where that is known of all; else as they were named. */
const inOrder = (parts: readonly SharedPart[]): readonly SharedPart[] =>
	parts.some(({ writtenAt }) => writtenAt === undefined)
		? parts
		: [...parts].sort((a, b) => Number((a.writtenAt ?? 0n) - (b.writtenAt ?? 0n)));

/** Both sorted, without overlaps. */
function onTop(below: readonly Placed<FileOffset>[], above: readonly Placed<FileOffset>[]): Placed<FileOffset>[] {
	const kept: Placed<FileOffset>[] = [];
	for (const piece of below) {
		let start = piece.start;
		for (const over of allWithin(above, rangeOf(piece))) {
			const gap = within(piece, { start, end: over.start });
			if (gap !== undefined) kept.push(gap);
			start = endOf(over);
		}
		const rest = within(piece, { start, end: endOf(piece) });
		if (rest !== undefined) kept.push(rest);
	}
	return [...kept, ...above].sort(byStart);
}

/** Bytes that are compared at a time. */
const PIECE = 1n << 20n;

/** Pages that both hold and that are not the same. */
function differentPages(one: readonly Placed<FileOffset>[], other: readonly Placed<FileOffset>[]): number {
	let pages = 0;
	for (const own of one)
		for (const theirs of allWithin(other, rangeOf(own))) {
			const mine = within(own, rangeOf(theirs));
			if (mine === undefined) continue;
			const pieces = piecesOf(theirs, PIECE);
			let from = 0n;
			for (const piece of pieces) {
				const [a, b] = [bytesOf(cut(mine, from, least(from + PIECE, mine.length))), bytesOf(piece)];
				from += PIECE;
				if (a === undefined || b === undefined || a.equals(b)) continue;
				const page = Number(PAGE_SIZE);
				for (let at = 0; at < a.length; at += page)
					if (!a.subarray(at, at + page).equals(b.subarray(at, at + page))) pages++;
			}
		}
	return pages;
}
