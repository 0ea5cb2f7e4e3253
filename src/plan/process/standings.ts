import { refuse } from "../../errors.ts";
import type { Forest } from "../../forest/forest.ts";

/** What becomes of a process that is made. */
export type Fate =
	| { readonly kind: "lives" }
	/** It ends, and its parent does not wait for it. `status` as wait(2) gives it. */
	| { readonly kind: "zombie"; readonly status: number; readonly comm: string }
	/** It has the id of the leader that a session or a group had, until all are in it; then it ends and is reaped. */
	| { readonly kind: "stand-in" };

/** Where a process is, in terms of those that there will be. */
export interface Standing {
	readonly pid: number;
	readonly ppid: number;
	readonly sid: number;
	readonly pgid: number;
	readonly fate: Fate;
	/** Its descriptor table, where it shares one. */
	readonly table?: number;
}

/** The session of whoever makes the processes. */
export const CALLERS_SESSION = 0;

/**
 * The processes, parents first; then those that have ended.
 *
 * The root leads a session of its own, also where it had another's: a stopped process that is left alone in the restorer's would be
 * hung up on as an orphan. Who was in that session with it is in its own now.
 *
 * @param joinsCaller The root is in the session of whoever makes it instead, and so is who was in one with it.
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for parents that are not there, and for session leaders in another's group.
 */
export function standingsOf(
	{ processes, zombies = [] }: Pick<Forest, "processes"> & Partial<Forest>,
	joinsCaller = false,
): Standing[] {
	const [root] = processes;
	if (root === undefined) throw new RangeError("a forest of no process");
	const own = root.identity;
	const pids = new Set([...processes.map(({ identity }) => identity.pid), ...zombies.map(({ pid }) => pid)]);
	const session = (sid: number): number => (joinsCaller && sid === own.sid ? CALLERS_SESSION : inside(sid, own.sid));
	/** Those that the root was in, and nobody of these leads. */
	const inside = (id: number, of: number): number => (!pids.has(id) && id === of ? own.pid : id);
	const there = new Set<number>();
	const standings: Standing[] = [
		...processes.map(({ identity: { pid, ppid, sid, pgid }, files: { table } }): Standing => {
			const at =
				pid === own.pid
					? { sid: joinsCaller ? CALLERS_SESSION : pid, pgid: pid }
					: { sid: session(sid), pgid: inside(pgid, own.pgid) };
			return { ...{ pid, ppid, ...at, fate: LIVES }, ...(table === undefined ? {} : { table }) };
		}),
		...zombies.map(
			({ pid, ppid, sid, pgid, status, comm }): Standing => ({
				...{ pid, ppid, sid: session(sid), pgid: inside(pgid, own.pgid) },
				fate: { kind: "zombie", status, comm },
			}),
		),
	];
	for (const standing of standings) {
		requireParent(standing, standing.pid === own.pid || there.has(standing.ppid));
		if (standing.fate.kind === "lives") there.add(standing.pid);
	}
	return standings;
}

const LIVES: Fate = { kind: "lives" };

function requireParent({ pid, ppid, sid, pgid }: Standing, known: boolean): void {
	if (!known)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: `process ${pid}`,
			finding: `is a child of ${ppid}`,
			expectation: "expected one of the processes before it",
		});
	if (sid === pid && pgid !== pid)
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: `process ${pid}`,
			finding: `leads its session and is in process group ${pgid}`,
			expectation: "expected it to lead that too",
		});
}
