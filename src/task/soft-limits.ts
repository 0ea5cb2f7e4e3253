import { type Finding, note } from "../finding.ts";
import { limitName, limitNumber } from "../linux/resource.ts";
import type { Limit, Task } from "./task.ts";

/** Soft limits by RLIMIT_ number; all ones is no limit. */
export type SoftLimits = ReadonlyMap<number, bigint>;

const CORE = limitNumber("CORE");

/**
 * What is made of a core dies as easily as before, often of the same instruction. With kernel.core_pattern `core` or `core.%p` it
 * would then write its next core over the one it came from, which may be the memory that it lives on. So it leaves none unless
 * it is asked to: the soft limit, for a lowered hard one cannot be raised again.
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
