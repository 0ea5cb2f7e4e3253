import type { PstreeEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import type { Task } from "../forest/task.ts";

/**
 * The process tree with the donor's process under the dead one's ids. Relatives that were its children, or in a group or
 * session it led, follow.
 */
export function patchPstree(task: Task, donorPid: number, entries: readonly PstreeEntry[]): PstreeEntry[] {
	const { pid, pgid, sid } = task.identity;
	const renamed = (id: number): number => (id === donorPid ? pid : id);
	return entries.map((entry) =>
		entry.pid === donorPid
			? { ...entry, pid, pgid, sid, threads: task.threads.map(({ tid }) => tid) }
			: { ...entry, ppid: renamed(entry.ppid), pgid: renamed(entry.pgid), sid: renamed(entry.sid) },
	);
}

/**
 * Refuses a dead process whose ids are taken by another process of the donor: two cannot live under one.
 *
 * @throws NecromancerError ERR_DONOR_MISMATCH
 */
export function requireFreeIds(task: Task, donorPid: number, entries: readonly PstreeEntry[], subject: string): void {
	const taken = new Map(
		entries
			.filter((entry) => entry.pid !== donorPid)
			.flatMap((entry) => [entry.pid, ...entry.threads].map((tid) => [tid, entry.pid])),
	);
	for (const { tid } of task.threads) {
		const holder = taken.get(tid);
		if (holder !== undefined)
			refuse("ERR_DONOR_MISMATCH", {
				subject,
				finding: `thread ${tid} has an id that process ${holder} of the donor has`,
				expectation: "expected it to be free",
				remedy: "dump the donor without its relatives",
			});
	}
}
