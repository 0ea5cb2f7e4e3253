// Figures for people: a table in Markdown, to be read as it is or pasted into README.

const HEAD = ["what", "against", "median", "min–max", "aim", "verdict", "milliseconds"];
const RIGHT = new Set([2, 3, 4, 6]);

/** One row a figure: what, against what, the ratios' median and spread, aim, verdict, and the medians of both times. */
export function tableOf(figures) {
	const rows = figures.map(rowOf);
	const widths = HEAD.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
	const line = (cells) => `| ${cells.join(" | ")} |\n`;
	const padded = (row) =>
		row.map((cell, i) => (RIGHT.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)));
	const rule = widths.map((width, i) => (RIGHT.has(i) ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
	return [padded(HEAD), rule, ...rows.map(padded)].map(line).join("");
}

function rowOf(figure) {
	const { name, against = "", aim, ratio, peak, seconds, otherSeconds } = figure;
	const verdict = verdictOf(figure);
	const why = figure.failed ?? figure.skipped;
	if (why !== undefined) return [name, against, "", "", "", `${verdict}: ${inCell(why)}`, ""];
	const goal = aim === undefined ? "" : `≤ ${peak === undefined ? aim.toFixed(2) : mib(aim)}`;
	const measured = peak === undefined ? [ratio.median.toFixed(2), spreadOf(ratio)] : [mib(peak), ""];
	const times = seconds === undefined ? "" : `${milliseconds(seconds)} : ${milliseconds(otherSeconds)}`;
	return [name, against, ...measured, goal, verdict, times];
}

/** By the median: `met`, `missed`, or nothing where there is no aim; `failed` and `skipped` say why beside it. */
export function verdictOf({ aim, ratio, peak, failed, skipped }) {
	if (failed !== undefined) return "failed";
	if (skipped !== undefined) return "skipped";
	if (aim === undefined) return "";
	return (peak ?? ratio.median) <= aim ? "met" : "missed";
}

const spreadOf = ({ min, max }) => `${min.toFixed(2)}–${max.toFixed(2)}`;
const mib = (value) => `${Math.round(value)} MiB`;
const milliseconds = ({ median }) => Math.round(median * 1000).toString();
/** Enough to know it by; the whole is told as it happens. */
const LONGEST = 120;
const inCell = (text) => {
	const line = text.trim().replaceAll(/\s+/g, " ");
	return (line.length > LONGEST ? `${line.slice(0, LONGEST)}…` : line).replaceAll("|", "\\|");
};
