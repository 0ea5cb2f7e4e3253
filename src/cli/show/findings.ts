import type { Finding } from "../../finding.ts";
import { escapeText } from "../escape-text.ts";
import { foldedLines } from "../fold.ts";
import { section } from "../section.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";

const order = ["loss", "caution", "note"] as const;

/** Findings, gravest first. */
export function findingsSection(title: string, findings: readonly Finding[], paint: Paint, verbose: boolean): string {
	const colour = { loss: paint.red, caution: paint.yellow, note: paint.dim };
	const rows = order.flatMap((weight) =>
		findings
			.filter((finding) => finding.weight === weight)
			.map(({ subject, text }) => [{ text: weight, paint: colour[weight] }, escapeText(subject), escapeText(text)]),
	);
	return section(title, "", foldedLines(tableLines("lll", rows), paint, verbose), paint);
}
