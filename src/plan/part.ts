import { defined } from "../bytes/defined.ts";
import type { Range } from "../bytes/range.ts";
import type { Finding } from "../finding.ts";
import type { Arg } from "../program/args.ts";
import type { ArgsOf, CallName } from "../program/calls.ts";
import type { StepList, StepOptions } from "../program/program.ts";
import { LEADER, type Plan, type PlanStep, type Stage, stages } from "./plan.ts";

/** What one part of the compiler has to say of a plan. Nobody else adds to it. */
export interface Part {
	readonly lists: readonly StepList<PlanStep>[];
	readonly findings: readonly Finding[];
	/** {@link Plan.views} */
	readonly views?: readonly Range[];
	/** {@link Plan.clocks} */
	readonly clocks?: NonNullable<Plan["clocks"]>;
}

/** A part in the making. */
export interface PartDraft {
	/** What the first thread of the process does that the part is about. */
	readonly leader: ListDraft;
	/** Opens (or continues) the list of that name, for somebody else. */
	list(name: string): ListDraft;
	report(finding: Finding): void;
	/** What has come together. */
	made(more?: Pick<Part, "views" | "clocks">): Part;
}

export interface ListDraft {
	/** Appends a step. `expect` is "success" unless said otherwise. */
	add<C extends CallName>(stage: Stage, call: C, args: ArgsOf<C, Arg>, why: string, options?: StepOptions): void;
}

/** @param leader the list of its first thread. */
export function partDraft(leader = LEADER): PartDraft {
	const lists = new Map<string, PlanStep[]>();
	const findings: Finding[] = [];
	const list = (name: string): ListDraft => {
		const steps = lists.get(name) ?? [];
		lists.set(name, steps);
		return {
			add: (stage, call, args, why, { expect = "success", save } = {}) => {
				steps.push({ stage, call, args: args as readonly Arg[], expect, why, ...defined({ save }) });
			},
		};
	};
	return {
		get leader() {
			return list(leader);
		},
		list,
		report: (finding) => void findings.push(finding),
		made: (more = {}) => ({ lists: [...lists].map(([name, steps]) => ({ name, steps })), findings, ...more }),
	};
}

/** Parts as one, in their order: lists of one name are joined. */
export function joinParts(parts: readonly Part[]): Pick<Part, "findings" | "lists"> {
	const lists = new Map<string, PlanStep[]>();
	for (const { lists: more } of parts)
		for (const { name, steps } of more) {
			const known = lists.get(name);
			if (known === undefined) lists.set(name, [...steps]);
			else for (const step of steps) known.push(step);
		}
	return {
		lists: [...lists].map(([name, steps]) => ({ name, steps })),
		findings: parts.flatMap(({ findings }) => findings),
	};
}

/** The same in another stage: what one process does early on behalf of all. */
export const inStage = (stage: Stage, { lists, ...part }: Part): Part => ({
	...part,
	lists: lists.map(({ name, steps }) => ({ name, steps: steps.map((step) => ({ ...step, stage })) })),
});

/** @throws RangeError where a part would bring a list back to an earlier stage than the parts before it. */
export function requireOrder(part: string, before: readonly Part[], { lists }: Part): void {
	for (const { name, steps } of lists) {
		const last = before.map((earlier) => earlier.lists.find((list) => list.name === name)?.steps.at(-1)?.stage);
		let reached = Math.max(0, ...last.map((stage) => (stage === undefined ? 0 : stages.indexOf(stage))));
		for (const { stage, call } of steps) {
			const at = stages.indexOf(stage);
			if (at < reached)
				throw new RangeError(
					`the part ${part} has ${call} of the stage ${stage} behind the stage ${stages[reached]}, in the list ${name}`,
				);
			reached = at;
		}
	}
}
