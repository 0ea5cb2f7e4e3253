import { type Finding, loss } from "../../finding.ts";
import type { PosixTimer } from "../../forest/task.ts";
import { cpuClockOf, numberOfCpuClock } from "../../linux/cpu-clock.ts";
import type { ThreadPair } from "./thread-pairs.ts";

/**
 * The clock of a donor's timer, in the dead process: one of processor time is named by a process or a thread (timer_create(2)
 * fails for one that is not there). haproxy (2.6) has one of each of its threads.
 */
export function movedClock(
	{ id: timer, clock }: PosixTimer,
	{ donor, dead }: { readonly donor: number; readonly dead: number },
	pairs: readonly ThreadPair[],
	report: (finding: Finding) => void,
): number {
	const own = cpuClockOf(clock);
	if (own === undefined || own.id === 0) return clock;
	const { id, ofThread } = own;
	const moved = (to: number): number => numberOfCpuClock({ ...own, id: to });
	if (!ofThread && id === donor) return moved(dead);
	const pair = ofThread ? pairs.find((candidate) => candidate.own && candidate.donor.tid === id) : undefined;
	if (pair !== undefined) return moved(pair.dead.tid);
	report(
		loss(
			"timers-from-donor",
			`timer ${timer}`,
			`counted the processor time of ${ofThread ? "thread" : "process"} ${id} of the donor's, which has no counterpart; it counts that of the whole process`,
		),
	);
	return numberOfCpuClock({ ...own, id: dead, ofThread: false });
}
