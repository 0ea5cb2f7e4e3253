import type { Range } from "../bytes/range.ts";
import type { Finding } from "../finding.ts";
import type { Clocks } from "../linux/time.ts";
import type { Place } from "../program/args.ts";
import type { Assembled } from "../program/assemble.ts";
import type { Program, Step } from "../program/program.ts";

/**
 * How a dead process is made to live, as a pure value: lists of system calls with their arguments, what each must return,
 * and why it is there. Whoever carries it out decides nothing.
 */
export interface Plan extends Program<PlanStep> {
	/** Leader first. */
	readonly tids: readonly number[];
	/** Memory that shows a file which is not its own, ascending: its bytes lie there. */
	readonly views: readonly Range[];
	/** The same of all other processes, parents before children; absent where there are none. */
	readonly others?: readonly PlannedProcess[];
	/** Those that have ended, and that their parents do not wait for; absent where there are none. */
	readonly zombies?: readonly PlannedZombie[];
	/** Where it tells and waits, until it lives: above all its own descriptors. */
	readonly reportFd: number;
	/** The first process is in the session of whoever carries it out. */
	readonly joinsCaller?: true;
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

/** A process to be, by the ids that it is to have. */
export interface PlannedProcess extends Pick<Plan, "tids" | "views"> {
	readonly pid: number;
	readonly ppid: number;
	/** Those that it will be in. */
	readonly sid: number;
	readonly pgid: number;
}

/** One that is nothing but its exit status. */
export interface PlannedZombie extends Pick<PlannedProcess, "pid" | "ppid" | "sid" | "pgid"> {
	/** As wait(2) gives it. */
	readonly status: number;
}

/** The name of the list that the first thread of the first process runs. */
export const LEADER = "leader";

/**
 * The name of the list that the agent runs before the process exists: what takes rights that its user lacks, and what
 * processes share. It is there only where something is made so.
 */
export const WORKSHOP = "workshop";

/** The name of the list that the agent runs once the process is there, where there was a workshop. */
export const WORKSHOP_END = "end of the workshop";

/** The name of the list that the first thread of another process runs. */
export const listOfProcess = (pid: number): string => `process ${pid}`;

/** In the order in which they come, in every list. */
export const stages = [
	"workshop",
	"identity",
	"shared",
	"inheritance",
	"children",
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

/** A plan with its addresses, as it is loaded. */
export type AssembledPlan = Assembled<PlanStep>;
