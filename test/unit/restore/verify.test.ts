import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { loss } from "../../../src/finding.ts";
import type { Task } from "../../../src/forest/task.ts";
import { verifyOomScore } from "../../../src/restore/verify.ts";

const asked = (oomScoreAdjust?: number): Task =>
	({ identity: oomScoreAdjust === undefined ? {} : { oomScoreAdjust } }) as unknown as Task;

it("what the kernel did not grant is told, what it did is not", () => {
	const here = Number(readFileSync("/proc/self/oom_score_adj", "latin1"));
	expect(verifyOomScore(process.pid, asked())).toEqual([]);
	expect(verifyOomScore(process.pid, asked(here))).toEqual([]);
	expect(verifyOomScore(process.pid, asked(here - 1))).toEqual([
		loss("limits", "oom_score_adj", `was ${here - 1}, is ${here}: to lower it takes CAP_SYS_RESOURCE`),
	]);
});

it("nothing is told of who has ended", () => {
	expect(verifyOomScore(0x7fff_ffff, asked(5))).toEqual([]);
});
