// Figures for people.

/** One line a figure: what, against what, the ratios' minimum, median and maximum, aim and verdict. */
export function tableOf(figures) {
	const rows = figures.map((figure) => {
		const { name, against, aim, skipped } = figure;
		if (skipped) return [name, against, "", "", "", "", "skipped", ""];
		const measured = "peak" in figure ? ["", mib(figure.peak), ""] : spreadOf(figure.ratio);
		const goal = aim === undefined ? "" : `≤ ${"peak" in figure ? mib(aim) : aim.toFixed(2)}`;
		const time =
			figure.seconds === undefined ? "" : `${milliseconds(figure.seconds)} : ${milliseconds(figure.otherSeconds)}`;
		return [name, against ?? "", ...measured, goal, verdictOf(figure), time];
	});
	const head = ["figure", "against", "min", "median", "max", "aim", "verdict", "milliseconds"];
	const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
	const left = new Set([0, 1, 6]);
	return [head, ...rows]
		.map((row) => row.map((cell, i) => (left.has(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  "))
		.map((line) => `${line.trimEnd()}\n`)
		.join("");
}

/** By the median: `met`, `missed`, or nothing where there is no aim. */
export function verdictOf({ aim, ratio, peak, skipped }) {
	if (skipped) return "skipped";
	if (aim === undefined) return "";
	return (peak ?? ratio.median) <= aim ? "met" : "missed";
}

const spreadOf = ({ min, median, max }) => [min, median, max].map((value) => value.toFixed(2));
const mib = (value) => `${Math.round(value)} MiB`;
const milliseconds = ({ median }) => Math.round(median * 1000).toString();
