import { type Cell, tableLines } from "./table.ts";
import type { Paint } from "./terminal.ts";

/** A titled block after an empty line: `title (remark)` and its lines. Nothing when there are no lines. */
export const section = (title: string, remark: string, lines: readonly string[], paint: Paint): string =>
	lines.length === 0
		? ""
		: `\n${paint.bold(title)}${remark === "" ? "" : ` (${remark})`}\n${lines.map((line) => `${line}\n`).join("")}`;

/** The same of a block that may be long, a piece at a time. */
export function* longSection(
	title: string,
	remark: string,
	lines: Iterable<string>,
	paint: Paint,
): Generator<string, void, undefined> {
	let piece = "";
	let first = true;
	for (const line of lines) {
		if (first) piece = `\n${paint.bold(title)}${remark === "" ? "" : ` (${remark})`}\n`;
		first = false;
		piece += `${line}\n`;
		if (piece.length < PIECE) continue;
		yield piece;
		piece = "";
	}
	if (piece !== "") yield piece;
}

/** Characters. */
const PIECE = 1 << 16;

/** `3 threads`, `1 thread`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Labels with values, one a line; those without a value are left out. */
export const facts = (rows: readonly (readonly [label: string, value: Cell | undefined])[], paint: Paint): string =>
	tableLines(
		"ll",
		rows.flatMap(([text, value]) => (value === undefined || value === "" ? [] : [[{ text, paint: paint.dim }, value]])),
	)
		.map((line) => `${line}\n`)
		.join("");
