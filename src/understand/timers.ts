import { address } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding } from "../finding.ts";
import type { PosixTimer, Task } from "../forest/task.ts";
import type { Rebase } from "./donor/rebase.ts";
import type { ThreadPair } from "./donor/thread-pairs.ts";
import { movedClock } from "./donor/timer-clocks.ts";

/** The donor's POSIX timers; cookies that point into its memory, thread ids and clocks of processor time are carried over. */
export function completePosixTimers(
	donor: Task,
	moved: Rebase,
	pairs: readonly ThreadPair[],
	pid: number,
	report: (finding: Finding) => void,
): PosixTimer[] {
	const leader = pairs[0]?.dead.tid;
	return donor.posixTimers.map((timer) => {
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
		const clock = movedClock(timer, { donor: donor.identity.pid, dead: pid }, pairs, report);
		return { ...timer, clock, value, ...defined({ thread }) };
	});
}

/** Says which interval timers the donor had running: the dead process gets them as they are. */
export function intervalTimerFindings(donor: Task, report: (finding: Finding) => void): void {
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
