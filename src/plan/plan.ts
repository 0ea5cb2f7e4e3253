import type { Range } from "../bytes/range.ts";
import type { Finding } from "../finding.ts";
import type { Clocks } from "../linux/time.ts";
import type { Datum, Place, Step } from "../program/program.ts";

/**
 * How a dead process is made to live, as a pure value: lists of system calls with their arguments, what each must return,
 * and why it is there. Whoever carries it out decides nothing.
 */
export interface Plan {
	/** The process that the plan makes. */
	readonly pid: number;
	/** Leader first. */
	readonly tids: readonly number[];
	/** Free in the dead process's layout: the blob, the plan, its stacks and frames live here until the end. */
	readonly hole: Range;
	/** Memory that shows a file which is not its own, ascending: its bytes lie there. */
	readonly views: readonly Range[];
	/** What each runs: the leader first, then threads and fillers that others spawn by name. */
	readonly lists: readonly StepList[];
	/** Every datum the steps refer to, in order of declaration. */
	readonly data: readonly Datum[];
	/** `struct context` of blob.h: where failures are reported. Every spawned list gets it. */
	readonly context: Place;
	/** Where it tells and waits, until it lives: above all its own descriptors. */
	readonly reportFd: number;
	/** Where the ids appear that the kernel gives to the threads, by those that they had. */
	readonly newIds?: ReadonlyMap<number, Place>;
	/**
	 * What its clocks are to show when it asks for them, which it does where this is present: the answer is the text of
	 * /proc/PID/timens_offsets, of {@link timensOffsetsText}. Without a boottime that one is moved as far as the other.
	 */
	readonly clocks?: Pick<Clocks, "monotonic"> & Partial<Clocks>;
	/** What could not be planned as it was, with its consequence. */
	readonly findings: readonly Finding[];
}

export interface StepList {
	/** `leader`, `thread 5741`, `filler 2`. */
	readonly name: string;
	readonly steps: readonly PlanStep[];
}

/** In the order in which they come, in every list. */
export const stages = [
	"identity",
	"files",
	"clear",
	"map",
	"fill",
	"protect",
	"vdso",
	"bounds",
	"clocks",
	"directories",
	"inspection",
	"signals",
	"threads",
	"timers",
	"credentials",
	"leave",
] as const;

export type Stage = (typeof stages)[number];

/** A step, and what it is for. */
export interface PlanStep extends Step {
	readonly stage: Stage;
}
