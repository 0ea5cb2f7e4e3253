import type { Range } from "../bytes/range.ts";
import type { Finding } from "../task/finding.ts";
import { escapeText } from "./escape-text.ts";
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

/** What stays in a process that nobody traced. */
export const leftoverText = ({ start, end }: Range, paint: Paint): string =>
	`${paint.yellow("caution")} without ptrace ${(end - start) >> 10n} KiB of ours stay mapped in it\n`;

/** How much is not as it was. */
export const findingCounts = (findings: readonly Finding[]): string => {
	const of = (weight: Finding["weight"]): number => findings.filter((finding) => finding.weight === weight).length;
	const losses = of("loss");
	const cautions = of("caution");
	return losses + cautions === 0
		? "nothing lost"
		: `${losses} loss${losses === 1 ? "" : "es"}, ${cautions} caution${cautions === 1 ? "" : "s"}`;
};
