import { type Finding, loss } from "../finding.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readOomScoreAdjust } from "../proc/single-values.ts";
import type { Task } from "../task/task.ts";

/** What was asked of the kernel and not granted, where the process lives all the same. */
export function shortfalls(pid: number, { identity: { oomScoreAdjust } }: Task): Finding[] {
	if (oomScoreAdjust === undefined) return [];
	// where it is not shown, it has ended by itself already
	const actual = ifShown(() => readOomScoreAdjust(pid));
	if (actual === undefined || actual === oomScoreAdjust) return [];
	return [loss("limits", "oom_score_adj", `was ${oomScoreAdjust}, is ${actual}: to lower it takes CAP_SYS_RESOURCE`)];
}
