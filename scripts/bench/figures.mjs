// Collects what sections measure. A figure that fails is a row that says why, and the next is measured.
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { pairs, peakMemory, StoppedError } from "./measure.mjs";
import { verdictOf } from "./table.mjs";

/**
 * Runs sections in turn, each in a directory of its own that is empty when it begins and gone when it has ended.
 *
 * @param sections by name: functions that take what measures.
 * @param tell hears of each figure as it is measured.
 * @throws StoppedError when it was interrupted; nothing else that a section throws.
 */
export async function figuresOf(sections, { dir, size, runs, cli, tell = () => {} }) {
	const figures = [];
	const add = (figure) => {
		tell(figure.failed === undefined ? figure.name : `${figure.name} failed: ${figure.failed}`);
		figures.push({ ...figure, verdict: verdictOf(figure) });
	};
	const attempt = async (figure, measure) => {
		try {
			await measure();
		} catch (error) {
			if (error instanceof StoppedError) throw error;
			add({ ...figure, failed: error.message });
		}
	};
	for (const [name, section] of Object.entries(sections)) {
		const own = join(dir, name);
		mkdirSync(own);
		const at = (file) => join(own, file);
		const node = ["`node -e 0`", [process.execPath, "-e", "0"]];
		/** The ratio of wall times of a command and another, which may be a function that tells seconds itself. */
		const compare = (what, aim, command, [against, other], options) =>
			attempt({ name: what, against }, async () => {
				const { beyond, ...figure } = await pairs(runs, command, other, options);
				add({ name: what, against, aim, ...figure });
				if (beyond !== undefined) add({ name: "… beyond what a small patch takes", against, ratio: beyond });
			});
		const memory = (what, aim, command, within) =>
			attempt({ name: what }, async () => add({ name: what, aim, peak: await peakMemory(command, within) }));
		const skip = (what, why) => add({ name: what, skipped: why });
		try {
			await attempt({ name }, () => section({ dir: own, size, at, cli, node, compare, memory, skip }));
		} finally {
			rmSync(own, { recursive: true, force: true });
		}
	}
	return figures;
}
