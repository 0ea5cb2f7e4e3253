import { describe, expect, it } from "vitest";
import { openImageDir } from "../../src/criu/image-dir.ts";
import { taskFromImages } from "../../src/images/read/from-images.ts";
import { compilePlan } from "../../src/plan/compile/compile.ts";
import { LEADER, type Plan, WORKSHOP, WORKSHOP_END } from "../../src/plan/plan.ts";
import { type AssembleOptions, assemble } from "../../src/program/assemble.ts";
import { fixtureNames, fixturePath } from "../support/builders/fixture-core.ts";
import { madeHost } from "../support/builders/made-host.ts";
import { agreeable, flatMemory, type Outcome, runModel } from "../support/models/model-kernel.ts";

/*
 * The plans of all donors as the bytes that the blob gets, run to the end on a kernel that refuses nothing: whether what was
 * saved arrives where it is needed, and whether all threads find together.
 */

function planFor(name: string): Plan {
	const dir = openImageDir(fixturePath(`${name}/images`));
	try {
		return compilePlan(taskFromImages(dir), madeHost(), { fds: new Map(), missing: "error" });
	} finally {
		dir.close();
	}
}

interface Run extends Outcome {
	/** Of the agent and of the process. */
	readonly ids: ReadonlySet<number>;
}

/** What the agent does, and what the process does; as far as nothing fails. */
function run(plan: Plan, options: AssembleOptions = {}): Run {
	const { pieces, end, firstStep, contextAt } = assemble(plan, options);
	const memory = flatMemory([{ start: plan.hole.start, end }]);
	const ids = new Set<number>();
	const carryOut = (list: string, loaded: typeof pieces): Outcome => {
		const outcome = runModel({
			...{ pieces: loaded, memory, models: [agreeable], pid: plan.pid },
			...{ steps: firstStep(list), context: contextAt },
		});
		for (const { id } of outcome.calls) ids.add(id);
		return outcome;
	};
	const agents = [WORKSHOP, WORKSHOP_END].filter((list) => plan.lists.some(({ name }) => name === list));
	for (const [i, list] of agents.entries()) {
		const outcome = carryOut(list, i === 0 ? pieces : []);
		if (outcome.reports.length > 0) return { ...outcome, ids };
	}
	return { ...carryOut(LEADER, agents.length === 0 ? pieces : []), ids };
}

describe.each(fixtureNames)("the plan of %s", (name) => {
	const plan = planFor(name);

	it("lets every thread live, and leaves none behind", () => {
		const { left, reports, exited, waiting, ids } = run(plan);
		expect(left.map(({ tid }) => tid).sort()).toEqual([...plan.tids].sort());
		expect(new Set(left.map(({ frame }) => frame)).size).toBe(plan.tids.length);
		const said = { task: BigInt(plan.pid), id: 0n, result: 0n };
		expect(reports).toEqual([said, said]);
		expect([exited, waiting]).toEqual([[], []]);
		const total = plan.lists.reduce((sum, { steps }) => sum + steps.length, 0);
		expect(ids.size).toBe(total);
	});
});

describe("the plan of threads", () => {
	it("fails at every step, with the word of that step", () => {
		const plan = planFor("threads");
		const total = plan.lists.reduce((sum, { steps }) => sum + steps.length, 0);
		for (let failStep = 1; failStep <= total; failStep++) {
			const { reports, exited } = run(plan, { failStep });
			expect(reports.at(-1)).toEqual({ task: BigInt(plan.pid), id: BigInt(failStep), result: -38n });
			expect(exited).toContainEqual(expect.objectContaining({ status: 111, group: true }));
		}
	});
});
