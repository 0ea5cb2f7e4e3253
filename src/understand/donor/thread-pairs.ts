import { caution, type Finding, note } from "../../finding.ts";
import type { PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { Task, Thread } from "../../forest/task.ts";

/** A thread of the dead process and the donor's thread whose attributes it takes. */
export interface ThreadPair {
	readonly dead: PartialThread;
	readonly donor: Thread;
	/** False where the donor had no counterpart and gives its leader's attributes. */
	readonly own: boolean;
}

/**
 * Pairs threads by age: leader with leader, then the n-th oldest with the n-th oldest. A core names no thread but the
 * leader, and programs start their threads in one order. Threads left over take after the donor's leader.
 */
export function pairThreads(dead: PartialTask, donor: Task, report: (finding: Finding) => void): readonly ThreadPair[] {
	const [leader, ...others] = byAge(donor.threads, donor.identity.pid);
	if (leader === undefined) return [];
	// where the leader had ended, the oldest of the others is one of the others
	const donors = dead.leaderEnded === true ? others : [leader, ...others];
	const pairs = byAge(dead.threads, dead.pid).map((thread, i): ThreadPair => {
		const own = donors[i];
		return { dead: thread, donor: own ?? leader, own: own !== undefined };
	});
	const alone = pairs.filter((pair) => !pair.own);
	const surplus = donors.length - pairs.length;
	if (alone.length > 0)
		report(
			caution(
				"thread-without-counterpart",
				alone.length === 1 ? `thread ${alone[0]?.dead.tid}` : `${alone.length} threads`,
				`the donor has ${donor.threads.length} of ${dead.threads.length} threads; name, scheduling and signal stack are taken from its leader`,
			),
		);
	if (surplus > 0)
		report(
			note(
				"donor-thread-dropped",
				`${surplus} of the donor's threads`,
				`the dead process had ${dead.threads.length}; theirs are left out`,
			),
		);
	return pairs;
}

/** Thread ids grow from the leader's and wrap at pid_max, which is at most 2^22 (PID_MAX_LIMIT, include/linux/threads.h). */
function byAge<T extends { readonly tid: number }>(threads: readonly T[], pid: number): T[] {
	const age = (tid: number): number => (tid - pid + 0x400000) % 0x400000;
	return [...threads].sort((a, b) => age(a.tid) - age(b.tid));
}
