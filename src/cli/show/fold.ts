/** A list that may be too long to show whole: its beginning, its end, and how many of it are left out between them. */
export interface Folded<T> {
	readonly head: readonly T[];
	readonly hidden: readonly T[];
	readonly tail: readonly T[];
}

/** Lists up to this length are shown whole: folding saves less than it hides. */
const MOST = 48;
const HEAD = 32;
const TAIL = 8;

/** Keeps 32 items and the last 8 (of mappings those are stack and vdso), unless everything is wanted or it is short. */
export const fold = <T>(items: readonly T[], whole: boolean): Folded<T> =>
	whole || items.length <= MOST
		? { head: items, hidden: [], tail: [] }
		: { head: items.slice(0, HEAD), hidden: items.slice(HEAD, -TAIL), tail: items.slice(-TAIL) };
