import { expect, it } from "vitest";
import { planTracer } from "../../../../src/plan/process/tracer.ts";
import { callText } from "../../../../src/program/text.ts";
import { circumstancesFor } from "../../../support/builders/made-context.ts";

it.each([
	[77, "prctl(PR_SET_PTRACER, 77, 0, 0, 0)"],
	["anybody" as const, "prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)"],
])("lets a debugger in: %s", (tracer, text) => {
	const context = circumstancesFor(64);
	planTracer({ tracer }, context);
	const [list] = context.draft.made().lists;
	expect(list?.steps.map(({ expect: expected }) => expected)).toEqual(["anything"]);
	expect(list?.steps.map((step) => callText(step))).toEqual([text]);
});

it("says nothing where nobody is to be let in", () => {
	const context = circumstancesFor(64);
	planTracer({}, context);
	expect(context.draft.made().lists).toEqual([]);
});
