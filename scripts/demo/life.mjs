import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** What a line of the victim's log says. */
const LINE = /^round (\d+): secret (\S+), (\d+) entries since (\S+)$/;

/** The lines of a log that are whole. */
export const linesOf = (log) => (existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : []);

/**
 * Waits until a log has `count` lines, and hands on each as it comes.
 *
 * @param alive says whether there is somebody to write them.
 * @returns how many there are: fewer when nobody is, or after ten seconds.
 */
export async function watch(log, from, count, alive, show) {
	let seen = from;
	for (const end = performance.now() + 10_000; seen < count && performance.now() < end; await sleep(20)) {
		const there = linesOf(log);
		for (const line of there.slice(seen, count)) show(line);
		seen = Math.min(there.length, count);
		if (!alive()) break;
	}
	return seen;
}

/** Why lines are not those of one life, `undefined` when they are: no round is missing, and nothing was forgotten. */
export function doubt(lines) {
	const told = lines.map((line) => LINE.exec(line) ?? []);
	const [, , secret, , since] = told[0] ?? [];
	for (const [i, [line, round, ...rest]] of told.entries()) {
		if (line === undefined) return `line ${i + 1} is no line of its`;
		if (Number(round) !== i + 1) return `line ${i + 1} tells of round ${round}`;
		if (rest[0] !== secret || rest[1] !== round || rest[2] !== since)
			return `in round ${round} it had forgotten something`;
	}
	return undefined;
}
