import type { FileWriters } from "../bytes/source.ts";
import type { Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { SoftLimits } from "../forest/soft-limits.ts";
import type { Task } from "../forest/task.ts";
import type { IdChoice } from "../restore/ids.ts";
import type { RestoreOptions } from "../restore/restore.ts";
import type { GivenClock } from "../understand/dead-clocks.ts";
import type { FileSearch } from "./file-search.ts";

export interface RaiseOptions extends Omit<RestoreOptions, "tracer">, FileSearch {
	/** Which ids it gets; `chooseIds` decides when absent. */
	readonly ids?: IdChoice;
	/** A debugger that we start will attach to it. */
	readonly debugged?: boolean;
	/** Lends what a core cannot know: files, handlers, timers, limits. Without one these are deduced, or as in a new process. */
	readonly donor?: Task;
	/** The users who can have written the donor's images, and their name in messages; trusted when absent. */
	readonly donorImages?: { readonly name: string; readonly writers: readonly FileWriters[] };
	/** Findings about the donor from its reader, reported with the others. */
	readonly donorFindings?: readonly Finding[];
	/** Give it the rights that the core says it had, though the core's owner may have fewer. */
	readonly trust?: boolean;
	/** Put threads that died in a crash's handlers back where the signal had come. */
	readonly leaveHandlers?: boolean;
	/** Take a core that was cut short, without what is missing. */
	readonly truncated?: boolean;
	/** Soft limits that it gets; without one of its own RLIMIT_CORE is 0. */
	readonly softLimits?: SoftLimits;
	/** Called with the plan before anything is made. */
	readonly before?: (planned: RaisePlan) => void;
	/** The device file of a terminal, for descriptors 0, 1 and 2. */
	readonly tty?: string;
	/** What CLOCK_MONOTONIC is to show; deduced when absent. */
	readonly clock?: GivenClock;
}

/** What a core will be raised as: the task, and the findings on the way. */
export interface RaisePlan {
	readonly dead: PartialTask;
	readonly task: Task;
	readonly findings: readonly Finding[];
}
