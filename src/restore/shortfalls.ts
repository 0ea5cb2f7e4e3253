import { readFileSync } from "node:fs";
import { type Finding, loss } from "../finding.ts";
import type { Task } from "../task/task.ts";

/** What was asked of the kernel and not granted, where the process lives all the same. */
export function shortfalls(pid: number, { identity: { oomScoreAdjust } }: Task): Finding[] {
	if (oomScoreAdjust === undefined) return [];
	const actual = numberIn(`/proc/${pid}/oom_score_adj`);
	if (actual === undefined || actual === oomScoreAdjust) return [];
	return [loss("limits", "oom_score_adj", `was ${oomScoreAdjust}, is ${actual}: to lower it takes CAP_SYS_RESOURCE`)];
}

function numberIn(file: string): number | undefined {
	try {
		return Number(readFileSync(file, "latin1"));
	} catch {
		// it has ended by itself already
		return undefined;
	}
}
