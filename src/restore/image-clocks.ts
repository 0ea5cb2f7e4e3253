import { statSync } from "node:fs";
import { join } from "node:path";
import { attempt } from "../bytes/source.ts";
import type { ImageDir } from "../criu/image-dir.ts";
import type { Finding } from "../finding.ts";
import { type Forest, mapForest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import { clocksWhenWritten } from "../host/clocks.ts";
import { timensName } from "../images/read/clocks.ts";
import { type GivenClock, withGivenClock } from "../understand/dead-clocks.ts";

/** Longest time between reading the clocks and writing the image, nanoseconds. */
const SOON = 10_000_000_000n;

/**
 * Processes from images with the clocks that they are to have. CRIU's images do not name the boot that they were made on; if this
 * host's clocks, at the file's mtime, agree with theirs, it was this one.
 *
 * @param given the user's --clock, which takes precedence.
 */
export function withImageClocks(
	forest: Forest,
	dir: ImageDir,
	given: GivenClock | undefined,
): { readonly forest: Forest; readonly findings: readonly Finding[] } {
	if (given === undefined) return { forest: mapForest(forest, (task) => withKnownOrigin(task, dir)), findings: [] };
	const findings: Finding[] = [];
	const clocked = mapForest(forest, (task) => {
		const { task: told, finding } = withGivenClock(task, given);
		if (findings.length === 0) findings.push(finding);
		return told;
	});
	return { forest: clocked, findings };
}

function withKnownOrigin(task: Task, dir: ImageDir): Task {
	const { clocks } = task;
	const name = timensName(dir);
	if (clocks === undefined || clocks.origin !== undefined || name === undefined) return task;
	const { mtimeNs } = attempt(name, () => statSync(join(dir.path, name), { bigint: true }));
	const then = clocksWhenWritten(mtimeNs);
	if (then?.origin === undefined) return task;
	const passed = [then.monotonic - clocks.monotonic, then.boottime - (clocks.boottime ?? clocks.monotonic)];
	const ours = passed.every((time) => time > -SOON && time < SOON);
	return ours ? { ...task, clocks: { ...clocks, origin: then.origin } } : task;
}
