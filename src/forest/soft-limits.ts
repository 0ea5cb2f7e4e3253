import { type Finding, note } from "../finding.ts";
import { limitName, limitNumber } from "../linux/resource.ts";
import type { Limit, Task } from "./task.ts";

/** Soft limits by RLIMIT_ number; all ones is no limit. */
export type SoftLimits = ReadonlyMap<number, bigint>;

const CORE = limitNumber("CORE");

/**
 * Sets soft limits, RLIMIT_CORE to 0 by default. A raised process often dies again of the same instruction; with
 * kernel.core_pattern `core` or `core.%p` its next core would overwrite the one it was raised from, which may back its memory
 * (--lazy). Only the soft limit: a lowered hard one cannot be raised again.
 *
 * @param wanted What the user asks for.
 * @param hardOf The hard limit of one that the task does not know.
 */
export function withSoftLimits(
	task: Task,
	wanted: SoftLimits,
	hardOf: (number: number) => bigint,
	report: (finding: Finding) => void,
): Task {
	const limits: Limit[] = [...task.limits];
	const set = (number: number, soft: bigint): void => {
		const hard = limits[number]?.hard ?? hardOf(number);
		limits[number] = { soft: soft < hard ? soft : hard, hard };
	};
	for (const [number, soft] of wanted) set(number, soft);
	if (!wanted.has(CORE)) {
		set(CORE, 0n);
		report(
			note(
				"core-limit",
				`limit ${limitName(CORE)}`,
				"0, lest its next core takes the place of this one; --limit core=unlimited gives it another",
			),
		);
	}
	return { ...task, limits };
}
