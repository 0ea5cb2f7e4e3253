import type { PstreeEntry } from "../criu/generated/schema.ts";
import type { Task } from "../task/task.ts";

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
