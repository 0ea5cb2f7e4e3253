import { defined } from "../bytes/defined.ts";
import type { Range } from "../bytes/range.ts";
import { type Finding, note } from "../finding.ts";
import { LATEST_CLOCK, type ProcessClocks } from "../forest/clocks.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Task } from "../forest/task.ts";
import { clockTrace, decideClocks, type HostClocksThen, secondsText } from "./clocks.ts";
import { wasReadLately } from "./evidence/clock-readings.ts";
import type { Evidence } from "./evidence/evidence.ts";

/** What CLOCK_MONOTONIC is to show, nanoseconds; or that of the host as it is. */
export type GivenClock = bigint | "host";

export interface DeadClockOptions {
	readonly evidence: Pick<Evidence, "open" | "calls" | "loopsIn">;
	/** Where readings of the clock are searched for. */
	readonly places: readonly Range[];
	/** This host's clocks when the core was written; absent where the core is older than this boot, or of unknown age. */
	readonly host?: HostClocksThen;
	/** What other clocks of this boot showed then, by which it may have lived. */
	readonly others?: readonly HostClocksThen[];
	/** What the user says, which goes before all else. */
	readonly given?: GivenClock;
	/** The donor's, if there is one. */
	readonly donor?: ProcessClocks;
}

/** The process of a core with its clocks, which the core does not tell: see clocks.ts. */
export function withDeadClocks(
	task: Task,
	dead: PartialTask,
	{ evidence, places, host, others = [], given, donor }: DeadClockOptions,
): { readonly task: Task; readonly finding: Finding } {
	if (given !== undefined) return withGivenClock(task, given);
	const trace = clockTrace(dead, places, evidence, host);
	const { clocks, finding } = decideClocks({
		others,
		wasRead: (clock) => wasReadLately(clock, dead.memory, places),
		...defined({ host, trace, donor }),
	});
	return { task: withClocks(task, clocks), finding };
}

/** A process with the clock that the user wants it to have. */
export function withGivenClock(task: Task, given: GivenClock): { readonly task: Task; readonly finding: Finding } {
	if (given === "host")
		return {
			task: withClocks(task, undefined),
			finding: note("clock", "CLOCK_MONOTONIC", "becomes that of this host"),
		};
	const monotonic = given < LATEST_CLOCK ? given : LATEST_CLOCK;
	return {
		task: withClocks(task, { monotonic, witness: "given" }),
		finding: note("clock", "CLOCK_MONOTONIC", `goes on from ${secondsText(monotonic)}, as was asked for`),
	};
}

function withClocks(task: Task, clocks: ProcessClocks | undefined): Task {
	const { clocks: _others, ...rest } = task;
	return clocks === undefined ? rest : { ...rest, clocks };
}
