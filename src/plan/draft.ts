import { refuse } from "../errors.ts";
import type { Finding } from "../finding.ts";
import type { CallName } from "../program/calls.ts";
import type { Arg, Datum, Expect, Place } from "../program/program.ts";
import { type PlanStep, type Stage, type StepList, stages } from "./plan.ts";

/**
 * A plan in the making. The parts of the compiler write steps into lists and data into one pool; nothing is read back.
 */
export interface PlanDraft {
	/** Opens (or continues) the list of that name. */
	list(name: string): ListDraft;
	/** A datum of these bytes. */
	bytes(name: string, bytes: Uint8Array, options?: DatumOptions): Place;
	/**
	 * A NUL-terminated string; the text's bytes come from `bytesFromText`.
	 *
	 * @throws NecromancerError ERR_TASK_UNRUNNABLE for text with a NUL in it, which the kernel would read as a shorter one.
	 */
	path(name: string, text: string): Place;
	/** Eight zero bytes that a step saves its result into. */
	cell(name: string): Place;
	/** Zeroed memory: a stack, a buffer. */
	space(name: string, size: number, align?: number): Place;
	report(finding: Finding): void;
	readonly lists: readonly StepList[];
	readonly data: readonly Datum[];
	readonly findings: readonly Finding[];
}

export interface DatumOptions {
	readonly align?: number;
	readonly pointers?: readonly { readonly at: number; readonly to: Place }[];
}

export interface ListDraft {
	/** Appends a step. `expect` is "success" unless said otherwise. */
	add(stage: Stage, call: CallName, args: readonly Arg[], why: string, options?: StepOptions): void;
}

export interface StepOptions {
	readonly expect?: Expect;
	readonly save?: Place;
}

export function planDraft(toBytes: (text: string) => Uint8Array): PlanDraft {
	const lists = new Map<string, PlanStep[]>();
	const data: Datum[] = [];
	const findings: Finding[] = [];
	const put = (
		name: string,
		bytes: Uint8Array,
		size: number,
		{ align = 8, pointers = [] }: DatumOptions = {},
	): Place => {
		const datum: Datum = { name, bytes, size, align, pointers };
		data.push(datum);
		return { datum };
	};
	return {
		list: (name) => {
			const steps = lists.get(name) ?? [];
			lists.set(name, steps);
			return {
				add: (stage, call, args, why, { expect = "success", save } = {}) => {
					if (args.length > 6) throw new RangeError(`${call} with ${args.length} arguments`);
					const before = steps.at(-1)?.stage ?? stage;
					if (stages.indexOf(stage) < stages.indexOf(before))
						throw new RangeError(
							`${call} of the stage ${stage} behind one of the stage ${before}, in the list ${name}`,
						);
					steps.push({ stage, call, args, expect, why, ...(save === undefined ? {} : { save }) });
				},
			};
		},
		bytes: (name, bytes, options) => put(name, bytes, bytes.length, options),
		path: (name, text) => {
			const bytes = toBytes(text);
			const nul = bytes.indexOf(0);
			if (nul >= 0)
				refuse("ERR_TASK_UNRUNNABLE", {
					subject: name,
					finding: `has a NUL as byte ${nul}`,
					expectation: `but ${bytes.length} bytes`,
				});
			return put(name, bytes, bytes.length + 1, { align: 1 });
		},
		cell: (name) => put(name, new Uint8Array(), 8),
		space: (name, size, align = 16) => put(name, new Uint8Array(), size, { align }),
		report: (finding) => void findings.push(finding),
		get lists() {
			return [...lists].map(([name, steps]) => ({ name, steps }));
		},
		data,
		findings,
	};
}
