import { describe, expect, it } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { expectFrames, signalled, threadModelOf } from "../support/models/expected-threads.ts";
import { anyKernel, factsOf, planOfThreads, processors, runThreads } from "../support/models/run-threads.ts";

// Real donors: carried out by a kernel in the small, their plans end with their threads.

describe.each(fixtureNames)("the threads of %s", (name) => {
	const dir = openImageDir(fixturePath(`${name}/images`));
	const task = taskFromImages(dir);
	dir.close();

	it.each(["amd", "intel", "old"] as const)("are as they were, on %s", (processor) => {
		const facts = factsOf(processor);
		const plan = planOfThreads(task, facts);
		const { process, failed, frames, outcome } = runThreads(plan, facts, anyKernel());
		expect([failed, outcome.waiting]).toEqual([[], []]);
		for (const thread of task.threads) expect(process.threads.get(thread.tid)).toMatchObject(threadModelOf(thread));
		expect(process.threads.size).toBe(task.threads.length);
		expectFrames(task, frames, processors[processor].xcr0);
		expect(process.pending).toEqual(signalled(task.pending));
		for (const { signal, handler, flags, restorer, mask } of task.signalActions)
			expect([signal, process.actions.get(signal)]).toEqual([signal, [handler, flags, restorer, mask]]);
		expect(process).toMatchObject({ oomScore: task.identity.oomScoreAdjust, subreaper: false });
		expect([...process.limits.values()]).toEqual(task.limits.map(({ soft, hard }) => [soft, hard]));
		expect(plan.findings.filter(({ subject }) => subject.startsWith("thread"))).toEqual([]);
	});
});
