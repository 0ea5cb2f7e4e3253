import { readFileSync } from "node:fs";
import type { PlanFinding } from "../plan/plan.ts";
import type { Task } from "../task/task.ts";

/** What was asked of the kernel and not granted, where the process lives all the same. */
export function shortfalls(pid: number, { identity: { oomScoreAdjust } }: Task): PlanFinding[] {
	if (oomScoreAdjust === undefined) return [];
	const actual = numberIn(`/proc/${pid}/oom_score_adj`);
	if (actual === undefined || actual === oomScoreAdjust) return [];
	return [
		{
			subject: "oom_score_adj",
			text: `was ${oomScoreAdjust}, is ${actual}: to lower it takes CAP_SYS_RESOURCE`,
		},
	];
}

function numberIn(file: string): number | undefined {
	try {
		return Number(readFileSync(file, "latin1"));
	} catch {
		// it has ended by itself already
		return undefined;
	}
}
