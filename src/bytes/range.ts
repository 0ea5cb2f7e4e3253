import type { Address } from "./address.ts";

/** Addresses from `start` up to, not including, `end`. */
export interface Range {
	readonly start: Address;
	readonly end: Address;
}

/** Bytes. */
export const lengthOf = (range: Range): bigint => range.end - range.start;

export const contains = (range: Range, at: Address): boolean => range.start <= at && at < range.end;

export const overlaps = (a: Range, b: Range): boolean => a.start < b.end && b.start < a.end;

export const intersect = (a: Range, b: Range): Range | undefined => {
	const start = a.start > b.start ? a.start : b.start;
	const end = a.end < b.end ? a.end : b.end;
	return start < end ? { start, end } : undefined;
};

/** Orders by start; for `sort`. */
export const byStart = (a: Range, b: Range): number => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0);

/** The index of the first range, in a list sorted by start without overlaps, that ends above `at` (length when none). */
export function firstEndingAbove(sorted: readonly { readonly end: bigint }[], at: bigint): number {
	let low = 0;
	let high = sorted.length;
	while (low < high) {
		const middle = (low + high) >>> 1;
		const range = sorted[middle];
		if (range !== undefined && range.end <= at) low = middle + 1;
		else high = middle;
	}
	return low;
}

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
