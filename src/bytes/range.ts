import type { Address, FileOffset } from "./address.ts";

/** From `start` up to, not including, `end`: addresses, or offsets in a file or an object. */
export interface Range<At extends bigint = Address> {
	readonly start: At;
	readonly end: At;
}

/** Bytes of a file. */
export type FileRange = Range<FileOffset>;

/** Bytes. */
export const lengthOf = (range: Range<bigint>): bigint => range.end - range.start;

export const contains = <At extends bigint>(range: Range<At>, at: NoInfer<At>): boolean =>
	range.start <= at && at < range.end;

export const overlaps = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;

export const intersect = <At extends bigint>(a: Range<At>, b: Range<NoInfer<At>>): Range<At> | undefined => {
	const start = a.start > b.start ? a.start : b.start;
	const end = a.end < b.end ? a.end : b.end;
	return start < end ? { start, end } : undefined;
};

/** Orders by start; for `sort`. */
export const byStart = (a: { readonly start: bigint }, b: { readonly start: bigint }): number =>
	a.start < b.start ? -1 : a.start > b.start ? 1 : 0;

/** The index of the first item that `reaches`, in a list whose first items do not and all others do (length when none). */
export function firstThat<T>(sorted: readonly T[], reaches: (item: T) => boolean): number {
	let low = 0;
	let high = sorted.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		const item = sorted[middle];
		if (item !== undefined && !reaches(item)) low = middle + 1;
		else high = middle;
	}
	return low;
}

/** The index of the first range, in a list sorted by start without overlaps, that ends above `at` (length when none). */
export const firstEndingAbove = (sorted: readonly { readonly end: bigint }[], at: bigint): number =>
	firstThat(sorted, ({ end }) => end > at);

/** The range of a list sorted by start without overlaps that holds `at`. Binary search. */
export function rangeAt<R extends Range>(sorted: readonly R[], at: Address): R | undefined {
	const found = sorted[firstEndingAbove(sorted, at)];
	return found !== undefined && contains(found, at) ? found : undefined;
}

/** The parts of `range` that no range of the sorted list covers, ascending. */
export function gaps(range: Range, sorted: readonly Range[]): Range[] {
	const free: Range[] = [];
	let at = range.start;
	for (let i = firstEndingAbove(sorted, range.start); i < sorted.length; i++) {
		const taken = sorted[i];
		if (taken === undefined || taken.start >= range.end) break;
		if (taken.start > at) free.push({ start: at, end: taken.start });
		if (taken.end > at) at = taken.end;
	}
	if (at < range.end) free.push({ start: at, end: range.end });
	return free;
}

/** Sorted, and made one where they touch or overlap. */
export function united(ranges: readonly Range[]): Range[] {
	const whole: { start: Address; end: Address }[] = [];
	for (const { start, end } of [...ranges].sort(byStart)) {
		const last = whole.at(-1);
		if (last === undefined || start > last.end) whole.push({ start, end });
		else if (end > last.end) last.end = end;
	}
	return whole;
}
