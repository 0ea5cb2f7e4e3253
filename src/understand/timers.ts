import { address } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { IntervalTimer, PosixTimer, Task } from "../forest/task.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import { movedClock } from "./donor/timer-clocks.ts";

const UNARMED: IntervalTimer = { remaining: 0n, interval: 0n };

/** The timers of a process. They are in no core, nor does it prove any: the donor's, armed as they were, or none. */
export function understandTimers(
	dead: PartialTask,
	donor: MovedDonor | undefined,
	report: (finding: Finding) => void,
): Pick<Task, "intervalTimers" | "posixTimers"> {
	if (donor !== undefined) {
		const posixTimers = lentPosixTimers(dead, donor, report);
		reportIntervalTimers(donor.task, report);
		return { posixTimers, intervalTimers: donor.task.intervalTimers };
	}
	report(
		loss(
			"timers",
			"timers",
			"are not in a core: none is armed, though it may have had some (alarm(2), setitimer(2), timer_create(2))",
		),
	);
	return { posixTimers: [], intervalTimers: { real: UNARMED, virtual: UNARMED, profiling: UNARMED } };
}

/** The donor's POSIX timers; cookies that point into its memory, thread ids and clocks of processor time are carried over. */
function lentPosixTimers(
	dead: PartialTask,
	{ task, moved, pairs }: MovedDonor,
	report: (finding: Finding) => void,
): PosixTimer[] {
	const processes = { donor: task.identity.pid, dead: dead.pid };
	const leader = pairs[0]?.dead.tid;
	return task.posixTimers.map((timer) => {
		const value = moved.address(address(timer.value))?.address ?? timer.value;
		const pair = pairs.find((candidate) => candidate.own && candidate.donor.tid === timer.thread);
		const thread = timer.thread === undefined || timer.thread === 0 ? timer.thread : (pair?.dead.tid ?? leader);
		report(
			caution(
				"timers-from-donor",
				`timer ${timer.id}`,
				`armed as in the donor, ${Number(timer.remaining) / 1e9} s left`,
			),
		);
		const clock = movedClock(timer, processes, pairs, report);
		return { ...timer, clock, value, ...defined({ thread }) };
	});
}

/** Says which interval timers the donor had running: the dead process gets them as they are. */
function reportIntervalTimers(donor: Task, report: (finding: Finding) => void): void {
	for (const [name, timer] of Object.entries(donor.intervalTimers))
		if (timer.remaining > 0n)
			report(
				caution(
					"timers-from-donor",
					`interval timer (${name})`,
					`armed as in the donor, ${Number(timer.remaining) / 1e6} s left`,
				),
			);
}
