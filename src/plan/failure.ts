import { defined } from "../bytes/defined.ts";
import { NecromancerError } from "../errors.ts";
import { errnoName, isErrorResult } from "../linux/errno.ts";
import type { NumberedStep } from "../program/assemble.ts";
import { remedyFor } from "../program/calls.ts";
import { resultText, shortCallText } from "../program/text.ts";
import { type AssembledPlan, LEADER, type PlanStep } from "./plan.ts";

/** What the blob says of a step that was not satisfied. */
export interface StepReport {
	readonly id: bigint;
	/** What the call returned, errors as -errno; its 64 bits with or without sign. */
	readonly result: bigint;
}

/**
 * A failed step in words: `step 31 of 412 (bounds: program break): prctl(PR_SET_MM, …) returned EPERM; needs CAP_…`.
 *
 * @returns ERR_STEP_FAILED; ERR_RESTORE_FAILED for an id that no step has.
 */
export function stepFailure({ steps }: Pick<AssembledPlan, "steps">, { id, result }: StepReport): NecromancerError {
	const failed = steps.get(Number(id));
	const value = BigInt.asIntN(64, result);
	if (failed === undefined)
		return new NecromancerError("ERR_RESTORE_FAILED", {
			subject: `step ${id}`,
			finding: `returned ${value}`,
			expectation: `but the plan has ${steps.size} steps`,
		});
	const remedy = isErrorResult(value) ? remedyFor(failed.step, errnoName(Number(value))) : oddRemedy(failed, value);
	const expectation = isErrorResult(value) ? undefined : expectationText(failed);
	return new NecromancerError("ERR_STEP_FAILED", {
		subject: subjectOf(failed),
		finding: `${shortCallText(failed.step)} returned ${resultText(failed.step.call, value)}`,
		...defined({ expectation, remedy }),
	});
}

/** The leader is who one thinks of; others are named. */
const subjectOf = ({ id, total, list, step: { stage, why } }: NumberedStep<PlanStep>): string =>
	`step ${id} of ${total} (${stage}${list === LEADER ? "" : ` of ${list}`}: ${why})`;

const expectationText = ({ step: { call, expect } }: NumberedStep<PlanStep>): string | undefined =>
	typeof expect === "object" && "exactly" in expect ? `expected ${resultText(call, expect.exactly)}` : undefined;

/** What helps when a call went well and still returned something else. */
function oddRemedy({ step: { call, expect } }: NumberedStep, value: bigint): string | undefined {
	if (typeof expect !== "object" || !("exactly" in expect) || isErrorResult(BigInt.asIntN(64, expect.exactly)))
		return undefined;
	const short = value < expect.exactly;
	if (/^p?readv?(64)?$/.test(call) && short) return "the file is shorter than its page map says: dump or copy it again";
	if (/^p?writev?(64)?$/.test(call) && short) return "free space or room in the pipe (fs.pipe-max-size)";
	if (call === "mmap") return "something else is mapped there";
	return undefined;
}
