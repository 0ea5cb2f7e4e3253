import type { PstreeEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Identity, Task } from "../forest/task.ts";

/** A dead process, and the id of the donor's whose place it takes. */
export interface Replacement {
	readonly task: Task;
	readonly donorPid: number;
}

/**
 * The process tree with processes of the donor under the dead ones' ids. Relatives that were their children, or in a group or
 * session they led, follow.
 */
export function patchPstree(dead: readonly Replacement[], entries: readonly PstreeEntry[]): PstreeEntry[] {
	const tasks = new Map(dead.map(({ task, donorPid }) => [donorPid, task]));
	const renamed = renamedBy(dead);
	return entries.map((entry) => {
		const ppid = renamed(entry.ppid);
		const task = tasks.get(entry.pid);
		if (task === undefined) return { ...entry, ppid, pgid: renamed(entry.pgid), sid: renamed(entry.sid) };
		const { pid, pgid, sid } = task.identity;
		return { ...entry, ppid, pid, pgid, sid, threads: task.threads.map(({ tid }) => tid) };
	});
}

const renamedBy = (dead: readonly Replacement[]): ((id: number) => number) => {
	const names = new Map(dead.map(({ task, donorPid }) => [donorPid, task.identity.pid]));
	return (id) => names.get(id) ?? id;
};

/**
 * The ids of a dead process that comes back among others. Its session and group are those of its core where the tree knows them,
 * or where it led them; else what they were to the others, for nobody of the core's lives here.
 *
 * @param dead all that come back with it, under the ids of their cores.
 */
export function identityAmong(
	{ task, donorPid }: Replacement,
	core: Pick<PartialTask, "ppid">,
	dead: readonly Replacement[],
	entries: readonly PstreeEntry[],
	report: (finding: Finding) => void,
): Identity {
	const { identity } = task;
	const donor = entries.find(({ pid }) => pid === donorPid);
	if (donor === undefined || entries.length === 1) return identity;
	const renamed = renamedBy(dead);
	const known = new Set(entries.flatMap(({ pid, pgid, sid }) => [pid, pgid, sid].map(renamed)));
	const among = (own: number, lent: number): number => (known.has(own) ? own : renamed(lent));
	const { pid } = identity;
	const [pgid, sid, ppid] = [among(identity.pgid, donor.pgid), among(identity.sid, donor.sid), renamed(donor.ppid)];
	for (const [what, own, here] of [
		["group", identity.pgid, pgid],
		["session", identity.sid, sid],
	] as const)
		if (own !== here)
			report(
				caution("session", `process ${pid}`, `had been in ${what} ${own}, which is not here; its ${what} is ${here}`),
			);
	if (core.ppid !== undefined && ppid !== 0 && core.ppid !== ppid)
		report(
			caution(
				"parent",
				`process ${pid}`,
				`had been a child of ${core.ppid}; as in the donor it is one of process ${ppid}`,
			),
		);
	if (pid !== donorPid)
		report(caution("ids", `process ${pid}`, `has the id of its core; the others know it by the donor's, ${donorPid}`));
	return { ...identity, pgid, sid, ppid };
}

/**
 * Refuses a dead process whose ids are taken by another process: two cannot live under one.
 *
 * @throws NecromancerError ERR_DONOR_MISMATCH
 */
export function requireFreeIds(
	dead: readonly Replacement[],
	entries: readonly PstreeEntry[],
	nameOf: (index: number) => string,
): void {
	const replaced = new Set(dead.map(({ donorPid }) => donorPid));
	const taken = new Map(
		entries
			.filter(({ pid }) => !replaced.has(pid))
			.flatMap((entry) => [entry.pid, ...entry.threads].map((tid) => [tid, `process ${entry.pid} of the donor`])),
	);
	for (const [i, { task }] of dead.entries()) {
		const subject = nameOf(i);
		for (const { tid } of task.threads) {
			const holder = taken.get(tid);
			if (holder !== undefined)
				refuse("ERR_DONOR_MISMATCH", {
					subject,
					finding: `thread ${tid} has an id that ${holder} has`,
					expectation: "expected it to be free",
					remedy: "dump the donor without its relatives",
				});
			taken.set(tid, `process ${task.identity.pid} of ${subject}`);
		}
		// a leader that had ended is no thread, and has the id all the same
		taken.set(task.identity.pid, `process ${task.identity.pid} of ${subject}`);
	}
}
