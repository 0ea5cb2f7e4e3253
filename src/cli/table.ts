/** What stands in one place of a table. Colour comes after the padding, so it does not count as width. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string };

/**
 * Rows as aligned lines, indented by two, without line ends. The last column and trailing blanks are not padded.
 *
 * @param align one letter a column: `l` left, `r` right.
 */
export const tableLines = (align: string, rows: readonly (readonly Cell[])[]): string[] => [
	...linesOf(align, rows, (row) => row),
];

/** The same of a table that may be long: rows are made when they are wanted, twice, and none is kept. */
export function* linesOf<T>(
	align: string,
	items: readonly T[],
	rowOf: (item: T, i: number) => readonly Cell[],
): Generator<string, void, undefined> {
	const widths = new Array<number>(align.length).fill(0);
	for (const [i, item] of items.entries())
		for (const [column, cell] of rowOf(item, i).entries())
			widths[column] = Math.max(widths[column] ?? 0, widthOf(cell));
	for (const [i, item] of items.entries()) {
		const row = rowOf(item, i);
		const last = row.findLastIndex((cell) => widthOf(cell) > 0);
		const cells = row.slice(0, last + 1).flatMap((cell, column) => {
			// a column that no row uses leaves no gap
			if ((widths[column] ?? 0) === 0) return [];
			const padding = " ".repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
			const text = typeof cell === "string" ? cell : cell.paint(cell.text);
			if (align[column] === "r") return [padding + text];
			return [column === last ? text : text + padding];
		});
		yield cells.length === 0 ? "" : `  ${cells.join("  ")}`;
	}
}

const widthOf = (cell: Cell | undefined): number => {
	const text = cell === undefined ? "" : typeof cell === "string" ? cell : cell.text;
	return ASCII.test(text) ? text.length : [...text].length;
};

const ASCII = /^[ -~]*$/;
