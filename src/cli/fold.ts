import type { Paint } from "./terminal.ts";

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

/** Lines of a section, with what is left out said in its place. */
export function foldedLines(lines: readonly string[], paint: Paint, whole: boolean): readonly string[] {
	const { head, hidden, tail } = fold(lines, whole);
	const more = hidden.length === 0 ? [] : [paint.dim(`  … ${hidden.length} more (-v shows them)`)];
	return [...head, ...more, ...tail];
}

/** Puts what is said of what is left out behind the first lines. */
export function* withHidden(
	lines: Iterable<string>,
	{ head, hidden }: Folded<unknown>,
	more: string,
	before = 0,
): Generator<string, void, undefined> {
	let at = -before;
	for (const line of lines) {
		if (at++ === head.length && hidden.length > 0) yield more;
		yield line;
	}
}

/** Keeps 32 items and the last 8 (of mappings those are stack and vdso), unless everything is wanted or it is short. */
export const fold = <T>(items: readonly T[], whole: boolean): Folded<T> =>
	whole || items.length <= MOST
		? { head: items, hidden: [], tail: [] }
		: { head: items.slice(0, HEAD), hidden: items.slice(HEAD, -TAIL), tail: items.slice(-TAIL) };
