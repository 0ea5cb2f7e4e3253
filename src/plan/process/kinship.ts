import { refuse } from "../../errors.ts";
import type { Forest } from "../../forest/forest.ts";
import type { Task } from "../../forest/task.ts";

/** What a process is to others, and when it becomes that. */
export interface Kin {
	readonly pid: number;
	/** Those that it will be in. */
	readonly sid: number;
	readonly pgid: number;
	readonly leadsSession: boolean;
	/** Leads a group in the session of another process. */
	readonly leadsGroup: boolean;
	/** The group that it enters when its leader is there; absent for a leader, and for whom it was born in. */
	readonly joins?: number;
	/** Children that are born before it leads a session of its own: they are in the one that it was born in. */
	readonly early: readonly Kin[];
	/** All others. */
	readonly late: readonly Kin[];
}

export interface Kinship {
	readonly root: Kin;
	/** Groups that somebody waits for. */
	readonly awaited: readonly number[];
}

/** Where a process is, in terms of those that there will be. */
interface Standing {
	readonly task: Task;
	readonly pid: number;
	readonly sid: number;
	readonly pgid: number;
	readonly children: Standing[];
}

/**
 * Who makes whom, and when. A session is inherited: whoever is in another's was born in it, before its parent led one of its own
 * (setsid(2)). A group is entered when its leader is there, in the same session (setpgid(2)).
 *
 * The root leads a session of its own, also where it had another's: a stopped process that is left alone in the restorer's would be
 * hung up on as an orphan. Who was in that session with it is in its own now.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for sessions and groups whose leaders are not among the processes, or are not where
 * they could be inherited from; ERR_TASK_UNRUNNABLE for parents that are not there.
 *
 * @param foregrounds groups that leaders of sessions wait for.
 */
export function kinshipOf({ processes }: Pick<Forest, "processes">, foregrounds: readonly number[] = []): Kinship {
	const standings = standingsOf(processes);
	const [root] = standings;
	if (root === undefined) throw new RangeError("a forest of no process");
	const bornIn = birthsIn(standings);
	const known = new Map(standings.map((it) => [it.pid, it]));
	const awaited = new Set<number>();

	const kinOf = (standing: Standing, parent?: Standing): Kin => {
		const { pid, sid, pgid, children } = standing;
		const leadsSession = sid === pid;
		const [early, late]: [Kin[], Kin[]] = [[], []];
		for (const child of children) {
			const born = bornIn.get(child.pid) ?? sid;
			const isLate = born === sid;
			if (!isLate && born !== bornIn.get(pid))
				refuseSession(child, `which neither it nor process ${pid}, its parent, can have been born in`);
			(isLate ? late : early).push(kinOf(child, standing));
		}
		if (pgid === pid) return { pid, sid, pgid, leadsSession, leadsGroup: !leadsSession, early, late };
		if (leadsSession)
			refuse("ERR_TASK_UNRUNNABLE", {
				subject: `process ${pid}`,
				finding: `leads its session and is in process group ${pgid}`,
				expectation: "expected it to lead that too",
			});
		requireGroup(standing, known.get(pgid));
		// whoever leads does so before its other children are made
		const inherited = parent?.pid === pgid && parent.sid === sid;
		if (!inherited) awaited.add(pgid);
		return {
			pid,
			sid,
			pgid,
			leadsSession: false,
			leadsGroup: false,
			early,
			late,
			...(inherited ? {} : { joins: pgid }),
		};
	};
	const kin = kinOf(root);
	for (const group of foregrounds) if (known.has(group)) awaited.add(group);
	return { root: kin, awaited: [...awaited] };
}

function standingsOf(processes: readonly Task[]): Standing[] {
	const [root] = processes;
	const pids = new Set(processes.map(({ identity }) => identity.pid));
	/** Those that the root was in, and nobody of these leads. */
	const outside = (id: number, of: number | undefined): boolean => !pids.has(id) && id === of;
	const standings = new Map<number, Standing>();
	for (const task of processes) {
		const { pid, ppid, sid, pgid } = task.identity;
		const own = root?.identity;
		const standing: Standing = {
			...{ task, pid, children: [] },
			sid: task === root || outside(sid, own?.sid) ? (own?.pid ?? pid) : sid,
			pgid: task === root || outside(pgid, own?.pgid) ? (own?.pid ?? pid) : pgid,
		};
		if (task !== root) {
			const parent =
				standings.get(ppid) ??
				refuse("ERR_TASK_UNRUNNABLE", {
					subject: `process ${pid}`,
					finding: `is a child of ${ppid}`,
					expectation: "expected one of the processes before it",
				});
			parent.children.push(standing);
		}
		standings.set(pid, standing);
	}
	return [...standings.values()];
}

/** The session that each is born in; that of its parent, where it does not matter. */
function birthsIn(standings: readonly Standing[]): ReadonlyMap<number, number> {
	const births = new Map<number, number>();
	// children before parents
	for (const standing of [...standings].reverse()) {
		const { pid, sid, children } = standing;
		if (sid !== pid) {
			births.set(pid, sid);
			continue;
		}
		const foreign = new Set(children.flatMap((child) => births.get(child.pid) ?? []).filter((born) => born !== sid));
		const [first, second] = foreign;
		if (first === undefined) continue;
		if (second !== undefined)
			refuseSession(standing, `and has children of two others, ${first} and ${second}: it was born in one`);
		births.set(pid, first);
	}
	const [root] = standings;
	if (root !== undefined && births.has(root.pid) && births.get(root.pid) !== root.sid) {
		const child = root.children.find(({ pid }) => births.get(pid) !== root.sid && births.has(pid));
		if (child !== undefined) refuseSession(child, `whose leader is not above process ${root.pid}, its parent`);
	}
	return births;
}

const refuseSession = ({ pid, sid }: Standing, expectation: string): never =>
	refuse("ERR_UNSUPPORTED", { subject: `process ${pid}`, finding: `is in session ${sid}`, expectation });

function requireGroup({ pid, sid, pgid }: Standing, leader: Standing | undefined): void {
	if (leader !== undefined && leader.pgid === pgid && leader.sid === sid) return;
	refuse("ERR_UNSUPPORTED", {
		subject: `process ${pid}`,
		finding: `is in process group ${pgid}`,
		expectation:
			leader === undefined
				? "whose leader is not among the processes"
				: `whose leader is in ${leader.sid === sid ? `group ${leader.pgid}` : `session ${leader.sid}`}`,
	});
}
