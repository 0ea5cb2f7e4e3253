import type { Task } from "../../../src/forest/task.ts";
import { type FilePolicy, planFiles } from "../../../src/plan/files/files.ts";
import { makeGhosts } from "../../../src/plan/files/ghosts.ts";
import { closeInputs, planInputs } from "../../../src/plan/files/inputs.ts";
import { planArming } from "../../../src/plan/files/late.ts";
import { planLeases, planLocks } from "../../../src/plan/files/locks.ts";
import { neededFiles } from "../../../src/plan/files/needed-files.ts";
import { placesOfInputs } from "../../../src/plan/files/place-inputs.ts";
import { leaveWorkshop, madeInWorkshop, makeDescriptions } from "../../../src/plan/files/workshop.ts";
import { sourcesOf } from "../../../src/plan/inputs.ts";
import type { Part } from "../../../src/plan/part.ts";
import { WORKSHOP, WORKSHOP_END } from "../../../src/plan/plan.ts";
import { planDirectories } from "../../../src/plan/process/directories.ts";
import { FIRST_INPUT_FD } from "../../../src/program/abi.ts";
import { type ModelFile, type ModelKernel, modelKernel } from "../models/model-files.ts";
import { circumstancesFor } from "./made-context.ts";

/** What a plan says of the files of a process: of those that the workshop makes too. */
function plannedFiles(task: Task, policy: FilePolicy, workFd: number, crowded: boolean): Part {
	const needed = neededFiles(task, policy);
	const placed = crowded ? placesOfInputs(task, policy, needed) : new Map<string, number>();
	const context = circumstancesFor(workFd, sourcesOf(task), needed, madeInWorkshop(task, policy), placed);
	makeGhosts(task, context, policy);
	makeDescriptions(task, context, policy);
	leaveWorkshop(context);
	planInputs(task, context);
	planFiles(task, context, policy);
	planLeases(task, context, policy);
	planDirectories(task, context);
	closeInputs(context);
	planLocks(task, context, policy);
	planArming(task, context, policy);
	return context.draft.made();
}

export interface CarriedOut extends Part {
	/** The process's. */
	readonly kernel: ModelKernel;
	/** The numbers in the agent of what the workshop has made. */
	readonly made: readonly number[];
	/** Those that the agent has open when the process is there, beside what it had. */
	readonly left: readonly number[];
}

/**
 * The same, carried out on a model of the kernel: first by the agent, then by the process that it makes.
 *
 * @param crowded There are not numbers enough for all inputs: those of one descriptor wait under its number.
 */
export function carriedOut(
	task: Task,
	policy: FilePolicy,
	onDisk: ReadonlyMap<string, ModelFile>,
	workFd: number,
	crowded = false,
): CarriedOut {
	const part = plannedFiles(task, policy, workFd, crowded);
	const open = [...sourcesOf(task), ...neededFiles(task, policy).map(({ path: name }) => ({ name, node: true }))];
	const kernel = modelKernel(
		onDisk,
		workFd,
		open.map((it, i) => ({ ...it, number: FIRST_INPUT_FD + i })),
	);
	const run = (list: string): void => {
		for (const { name, steps } of part.lists) if (name === list) kernel.run(steps);
	};
	const before = new Set(kernel.table.keys());
	const added = (): number[] => [...kernel.table.keys()].filter((number) => !before.has(number));
	run(WORKSHOP);
	const made = added();
	// the process has a copy of the agent's table from here on
	const copy = [...kernel.table].map(([number, entry]) => [number, { ...entry }] as const);
	run(WORKSHOP_END);
	const left = added();
	kernel.table.clear();
	for (const [number, entry] of copy) kernel.table.set(number, entry);
	for (const { name, steps } of part.lists) if (name !== WORKSHOP && name !== WORKSHOP_END) kernel.run(steps);
	return { ...part, kernel, made, left };
}
