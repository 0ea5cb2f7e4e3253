import { describe, expect, it } from "vitest";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import type { ProcessClocks } from "../../../src/forest/clocks.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { planClocks } from "../../../src/plan/clocks.ts";
import { compilePlan } from "../../../src/plan/compile/compile.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { timensOffsetsText } from "../../../src/proc/namespaces.ts";
import { assemble } from "../../../src/program/assemble.ts";
import { fixturePath } from "../../support/builders/fixture-core.ts";
import { circumstancesFor } from "../../support/builders/made-context.ts";
import { madeHost } from "../../support/builders/made-host.ts";
import { smallTask } from "../../support/builders/small-task.ts";
import { modelClocks } from "../../support/models/model-clocks.ts";
import { agreeable, flatMemory, runModel } from "../../support/models/model-kernel.ts";
import { stepText } from "../../support/models/step-text.ts";

const SECOND = 1_000_000_000n;
const origin = { boot: "this boot", offsets: { monotonic: 0n, boottime: 0n } };
const host = { now: { monotonic: 1000n * SECOND, boottime: 1200n * SECOND }, origin };
const read = (more: Partial<ProcessClocks> = {}): ProcessClocks => ({
	...{ monotonic: 500_000n * SECOND, boottime: 500_007n * SECOND, witness: "read" },
	...more,
});

function planned(clocks: ProcessClocks | undefined, facts: Partial<HostFacts> = { clocks: host }) {
	const context = circumstancesFor(64);
	const task = smallTask(clocks === undefined ? {} : { clocks });
	const { clocks: wanted } = planClocks(task, { ...context, facts: { ...context.facts, ...facts } });
	const steps = context.draft.made().lists.flatMap((list) => list.steps);
	const findings = context.draft
		.made()
		.findings.map(({ weight, code, subject, text }) => `${weight} ${code} ${subject}: ${text}`);
	return { wanted, steps: steps.map(stepText), findings };
}

describe("clocks that went on elsewhere", () => {
	it("go on in a time namespace that the process makes, sets and enters itself", () => {
		const { wanted, steps, findings } = planned(read());
		expect(wanted).toEqual({ monotonic: 500_000n * SECOND, boottime: 500_007n * SECOND });
		expect(findings).toEqual([]);
		expect(steps).toEqual([
			"unshare(128)",
			'openat(-100, "/proc/self/timens_offsets", 0x80001)',
			"write(*<report socket>, [f40100000000000000000000000000000100000000000000], 24) = 24",
			"read(*<report socket>, <clock offsets>, 82) = 82",
			"write(*<descriptor of the time namespace>, <clock offsets>, 82) = 82",
			"close(*<descriptor of the time namespace>)",
			'openat(-100, "/proc/self/ns/time_for_children", 0x80000)',
			"setns(*<descriptor of the time namespace>, 128)",
			"close(*<descriptor of the time namespace>)",
		]);
	});

	it("do so on another host, on another boot, and where they were others on this boot", () => {
		const { boottime: _, ...alone } = read();
		expect(planned(alone).wanted).toEqual({ monotonic: 500_000n * SECOND });
		for (const elsewhere of [
			{ ...origin, boot: "another" },
			{ ...origin, offsets: { monotonic: 1n, boottime: 0n } },
			{ ...origin, offsets: { monotonic: 0n, boottime: 1n } },
		])
			expect(planned(read({ origin: elsewhere })).steps).toHaveLength(9);
	});

	it("are a loss where no time namespace can be had, which says what comes of it", () => {
		const facts = { clocks: host, noTimeNamespace: "EPERM" };
		const { wanted, steps, findings } = planned(read(), facts);
		expect([wanted, steps]).toEqual([undefined, []]);
		expect(findings).toEqual([
			"loss clock CLOCK_MONOTONIC: was 500000 s, is 1000 s here: what it waits for until a time comes 499000 s late; no time namespace can be made (EPERM)",
		]);
		expect(planned(read({ monotonic: 400n * SECOND }), facts).findings).toEqual([
			"loss clock CLOCK_MONOTONIC: was 400 s, is 1000 s here: 600 s have passed for it at once, and what it waits for until a time has come; no time namespace can be made (EPERM)",
		]);
	});
});

describe("nothing is done about clocks", () => {
	const nothing = { wanted: undefined, steps: [], findings: [] };

	it("that are still there: on the same boot, in the same time namespace", () => {
		expect(planned(read({ origin }))).toEqual(nothing);
		expect(planned(read({ origin }), { clocks: host, noTimeNamespace: "EPERM" })).toEqual(nothing);
	});

	it("that are not known, or are to be the host's", () => {
		expect(planned(undefined)).toEqual(nothing);
		expect(planned(undefined, { clocks: host, noTimeNamespace: "EPERM" })).toEqual(nothing);
		expect(planned(read(), {})).toEqual(nothing);
	});
});

describe("on a kernel with time namespaces", () => {
	const answer = timensOffsetsText({ monotonic: -1n, boottime: 499_000n * SECOND });

	function planOf(name: string): Plan {
		const dir = openImageDir(fixturePath(`${name}/images`));
		try {
			const facts = { ...madeHost(), clocks: host };
			return compilePlan(taskFromImages(dir), facts, { fds: new Map(), missing: "error" });
		} finally {
			dir.close();
		}
	}

	it("a process with threads lives in its own before it has them, with the clocks it was told", () => {
		const plan = planOf("threads");
		const { pieces, end, firstStep, contextAt } = assemble(plan);
		const { model, time } = modelClocks(answer);
		const { left, reports } = runModel({
			...{ pieces, memory: flatMemory([{ start: plan.hole.start, end }]), models: [model, agreeable], pid: plan.pid },
			...{ steps: firstStep("leader"), context: contextAt },
		});
		expect(time).toEqual({ offsets: answer, threads: 1, inside: true, open: new Set() });
		expect(left).toHaveLength(plan.tids.length);
		expect(reports).toEqual([
			{ task: BigInt(plan.pid), id: 0n, result: 1n },
			{ task: BigInt(plan.pid), id: 0n, result: 0n },
			{ task: BigInt(plan.pid), id: 0n, result: 0n },
		]);
	});
});
