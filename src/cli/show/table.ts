/** What stands in one place of a table. Colour comes after the padding, so it does not count as width. */
export type Cell = string | { readonly text: string; readonly paint: (text: string) => string };

/**
 * Rows as aligned lines, indented by two, without line ends. The last column and trailing blanks are not padded.
 *
 * @param align one letter a column: `l` left, `r` right.
 */
export function tableLines(align: string, rows: readonly (readonly Cell[])[]): string[] {
	const widths = [...align].map((_, i) => rows.reduce((widest, row) => Math.max(widest, widthOf(row[i])), 0));
	return rows.map((row) => {
		const last = row.findLastIndex((cell) => widthOf(cell) > 0);
		const cells = row.slice(0, last + 1).flatMap((cell, i) => {
			// a column that no row uses leaves no gap
			if ((widths[i] ?? 0) === 0) return [];
			const padding = " ".repeat(Math.max(0, (widths[i] ?? 0) - widthOf(cell)));
			const text = typeof cell === "string" ? cell : cell.paint(cell.text);
			if (align[i] === "r") return [padding + text];
			return [i === last ? text : text + padding];
		});
		return cells.length === 0 ? "" : `  ${cells.join("  ")}`;
	});
}

const widthOf = (cell: Cell | undefined): number =>
	cell === undefined ? 0 : [...(typeof cell === "string" ? cell : cell.text)].length;
