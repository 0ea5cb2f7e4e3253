import type { Paint } from "../terminal.ts";
import { type Cell, tableLines } from "./table.ts";

/** A titled block after an empty line: `title (remark)` and its lines. Nothing when there are no lines. */
export const section = (title: string, remark: string, lines: readonly string[], paint: Paint): string =>
	lines.length === 0
		? ""
		: `\n${paint.bold(title)}${remark === "" ? "" : ` (${remark})`}\n${lines.map((line) => `${line}\n`).join("")}`;

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
