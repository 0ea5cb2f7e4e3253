import { hex } from "../../bytes/address.ts";
import type { AssembledPlan, Plan, PlanStep } from "../../plan/plan.ts";
import type { Arg, Datum, Place } from "../../program/args.ts";
import { matchArg } from "../../program/args.ts";
import { assemble } from "../../program/assemble.ts";
import { callNumber } from "../../program/calls.ts";
import type { Expect } from "../../program/program.ts";
import { stepText } from "../../program/text.ts";
import { SCHEMA } from "../json-text.ts";

/*
 * The JSON of `plan`, schema 1. Words and addresses are hexadecimal strings with 0x, bytes are hexadecimal strings without.
 * Data are referred to by their index in `data`.
 */

/** A plan for programs: what the blob is given, and why. */
export function planJson(plan: Plan) {
	const encoded = assemble(plan);
	const indices = new Map(plan.data.map((datum, i) => [datum, i]));
	let id = 0;
	return {
		schema: SCHEMA,
		kind: "plan",
		pid: plan.pid,
		tids: plan.tids,
		...(plan.others === undefined
			? {}
			: { others: plan.others.map(({ pid, ppid, pgid, sid, tids }) => ({ pid, ppid, pgid, sid, tids })) }),
		hole: { start: hex(plan.hole.start), end: hex(plan.hole.end) },
		end: hex(encoded.end),
		context: placeJson(plan.context, indices, encoded),
		lists: plan.lists.map(({ name, steps }) => ({
			name,
			address: hex(encoded.firstStep(name)),
			steps: steps.map((step) => {
				id += 1;
				return stepJson(step, id, indices, encoded);
			}),
		})),
		data: plan.data.map((datum) => datumJson(datum, indices, encoded)),
		findings: plan.findings,
	};
}

type Indices = ReadonlyMap<Datum, number>;

const stepJson = (step: PlanStep, id: number, indices: Indices, encoded: AssembledPlan) => ({
	id,
	stage: step.stage,
	call: step.call,
	number: callNumber(step.call),
	arguments: step.args.map((arg) => argJson(arg, indices, encoded)),
	expect: expectJson(step.expect),
	save: step.save === undefined ? null : placeJson(step.save, indices, encoded),
	why: step.why,
	text: stepText(step),
});

const argJson = (arg: Arg, indices: Indices, encoded: AssembledPlan) =>
	matchArg<object, Place, string>(arg, {
		literal: (value) => ({ kind: "literal", value: hex(BigInt.asUintN(64, value)) }),
		address: (place) => ({ kind: "address", ...placeJson(place, indices, encoded) }),
		value: (place) => ({ kind: "valueOf", ...placeJson(place, indices, encoded) }),
		list: (name) => ({ kind: "list", list: name, address: hex(encoded.firstStep(name)) }),
		input: ({ number, name }) => ({ kind: "input", value: hex(BigInt(number)), name }),
	});

const placeJson = (place: Place, indices: Indices, { addressOf }: AssembledPlan) => ({
	data: indices.get(place.datum) ?? null,
	offset: place.offset ?? 0,
	address: hex(addressOf(place)),
});

const expectJson = (expect: Expect) => {
	if (typeof expect === "string") return { kind: expect };
	return "exactly" in expect
		? { kind: "exactly", value: hex(BigInt.asUintN(64, expect.exactly)) }
		: { kind: "success-or", errno: expect.successOr };
};

const datumJson = (datum: Datum, indices: Indices, encoded: AssembledPlan) => ({
	name: datum.name,
	address: hex(encoded.addressOf({ datum })),
	size: datum.size,
	align: datum.align,
	bytes: Buffer.from(datum.bytes).toString("hex"),
	pointers: datum.pointers.map(({ at, to }) => ({ at, to: placeJson(to, indices, encoded) })),
});
