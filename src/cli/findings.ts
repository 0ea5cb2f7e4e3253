import type { Range } from "../bytes/range.ts";
import { type Finding, lostMatters } from "../finding.ts";
import { escapeText } from "./escape-text.ts";
import { foldedLines } from "./fold.ts";
import { section } from "./section.ts";
import { tableLines } from "./table.ts";
import type { Paint } from "./terminal.ts";

/** How grave it is, as a colour. */
export const weightPaint = (paint: Paint) => ({ loss: paint.red, caution: paint.yellow, note: paint.dim });

/** One line a finding, gravest first; notes only on request. */
export function findingsText(findings: readonly Finding[], all: boolean, paint: Paint): string {
	const order = ["loss", "caution", "note"] as const;
	const shown = order.flatMap((weight) =>
		findings.filter((finding) => finding.weight === weight && (all || weight !== "note")),
	);
	const colour = weightPaint(paint);
	return shown
		.map(
			({ weight, subject, text }) =>
				`${colour[weight](weight.padEnd(7))} ${escapeText(subject)}: ${escapeText(text)}\n`,
		)
		.join("");
}

/** The memory of ours that stays mapped after a restore without ptrace. */
export const leftoverText = ({ start, end }: Range, paint: Paint): string =>
	`${paint.yellow("caution")} without ptrace ${(end - start) >> 10n} KiB of ours stay mapped in it\n`;

/** What is whole and what is not, in words: `memory and threads are whole; lost: open files, timers; 2 cautions`. */
export function summaryOf(findings: readonly Finding[]): string {
	const lost = lostMatters(findings);
	const cautions = findings.filter(({ weight }) => weight === "caution").length;
	const more = cautions === 0 ? "" : `${cautions} caution${cautions === 1 ? "" : "s"}`;
	if (lost.length === 0) return more === "" ? "nothing lost" : `nothing lost, ${more}`;
	const whole = (["memory", "threads"] as const).filter((matter) => !lost.includes(matter));
	const parts = [
		...(whole.length === 0 ? [] : [`${whole.join(" and ")} ${whole.join() === "memory" ? "is" : "are"} whole`]),
		`lost: ${lost.join(", ")}`,
		...(more === "" ? [] : [more]),
	];
	return parts.join("; ");
}

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
