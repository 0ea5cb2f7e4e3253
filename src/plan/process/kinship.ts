import { refuse } from "../../errors.ts";
import type { Forest } from "../../forest/forest.ts";
import { type Births, birthsOf } from "./births.ts";
import { type Fate, type Standing, standingsOf } from "./standings.ts";

export type { Fate } from "./standings.ts";

/** What a process is to others, and when it becomes that. */
export interface Kin {
	readonly pid: number;
	readonly ppid: number;
	/** Those that it will be in. */
	readonly sid: number;
	readonly pgid: number;
	readonly fate: Fate;
	readonly leadsSession: boolean;
	/** Leads a group in the session of another process. */
	readonly leadsGroup: boolean;
	/** The group that it enters when its leader is there; absent for a leader, and for whom it was born in. */
	readonly joins?: number;
	/** Who makes it is no parent but a child of the same. */
	readonly sibling: boolean;
	/** It has the descriptor table of who makes it. */
	readonly borrows: boolean;
	/** Whom it makes before it leads a session of its own: they are in the one that it was born in. */
	readonly early: readonly Kin[];
	/** All others that it makes. */
	readonly late: readonly Kin[];
	/** Its children that do not live. */
	readonly ended: readonly Pick<Kin, "pid" | "fate">[];
	/** Who joins its group; it ends only when all have. Empty for who lives on. */
	readonly outlasts: readonly number[];
}

export interface Kinship {
	readonly root: Kin;
	/** All, whoever makes one before it. */
	readonly all: readonly Kin[];
	/** Groups that somebody waits for. */
	readonly awaited: readonly number[];
}

/**
 * Who makes whom, and when. Sessions are inherited ({@link birthsOf}). A group is entered when its leader is there, in the same
 * session (setpgid(2)); where the leader is gone, a child of the first in it stands in for it.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for sessions and groups that none of these can enter; ERR_TASK_UNRUNNABLE for parents
 * that are not there.
 *
 * @param foregrounds groups that leaders of sessions wait for.
 * @param joinsCaller see {@link standingsOf}.
 */
export function kinshipOf(
	forest: Pick<Forest, "processes"> & Partial<Forest>,
	foregrounds: readonly number[] = [],
	joinsCaller = false,
): Kinship {
	const { standings, of } = withGroupLeaders(birthsOf(standingsOf(forest, joinsCaller)));
	const [root] = standings;
	if (root === undefined) throw new RangeError("a forest of no process");
	const joining = new Map<number, number[]>();
	for (const { pid, pgid } of standings) {
		// whoever leads does so before it makes others
		if (pgid === pid || of.get(pid)?.maker?.pid === pgid) continue;
		joining.set(pgid, [...(joining.get(pgid) ?? []), pid]);
	}
	const all: Kin[] = [];
	const kinOf = (standing: Standing): Kin => {
		const { pid, ppid, sid, pgid, fate } = standing;
		const birth = of.get(pid);
		const at = all.length;
		const made = standings.filter((it) => of.get(it.pid)?.maker?.pid === pid);
		const isEarly = (it: Standing): boolean => {
			const session = of.get(it.pid)?.session;
			return session !== undefined && session !== sid;
		};
		const leadsSession = sid === pid;
		const [early, late] = [made.filter(isEarly), made.filter((it) => !isEarly(it))].map((some) => some.map(kinOf));
		const kin: Kin = {
			...{ pid, ppid, sid, pgid, fate, leadsSession, leadsGroup: pgid === pid && !leadsSession },
			...(joining.get(pgid)?.includes(pid) === true ? { joins: pgid } : {}),
			...{ sibling: birth?.sibling === true, borrows: birth?.borrows === true },
			...{ early: early ?? [], late: late ?? [] },
			ended: standings.filter((it) => it.ppid === pid && it.fate.kind !== "lives"),
			outlasts: fate.kind === "lives" ? [] : (joining.get(pid) ?? []),
		};
		all.splice(at, 0, kin);
		return kin;
	};
	const awaited = new Set(joining.keys());
	for (const group of foregrounds) if (standings.some(({ pid }) => pid === group)) awaited.add(group);
	return { root: kinOf(root), all, awaited: [...awaited] };
}

/** With children that stand in for leaders of groups that are gone. */
function withGroupLeaders({ standings: given, of: births }: Births): Births {
	const standings = [...given];
	const of = new Map(births);
	const known = new Map(standings.map((it) => [it.pid, it]));
	const lives = ({ fate }: Standing): boolean => fate.kind === "lives";
	for (const standing of given) {
		const { pid, sid, pgid } = standing;
		if (pgid === pid) continue;
		const leader = known.get(pgid);
		if (leader !== undefined) {
			requireLeading(standing, leader);
			continue;
		}
		const members = given.filter((it) => it.pgid === pgid);
		const other = members.find((it) => it.sid !== sid);
		if (other !== undefined) refuseGroup(standing, `as is process ${other.pid} in another session`);
		const maker = members.find(lives) ?? standing;
		const standIn: Standing = { pid: pgid, ppid: maker.pid, sid, pgid, fate: { kind: "stand-in" } };
		known.set(pgid, standIn);
		standings.push(standIn);
		of.set(pgid, { maker, sibling: false, session: sid, borrows: false });
	}
	return { standings, of };
}

function requireLeading(standing: Standing, leader: Standing): void {
	if (leader.pgid === standing.pgid && leader.sid === standing.sid) return;
	const { sid } = standing;
	refuseGroup(standing, `whose leader is in ${leader.sid === sid ? `group ${leader.pgid}` : `session ${leader.sid}`}`);
}

const refuseGroup = ({ pid, pgid }: Standing, expectation: string): never =>
	refuse("ERR_UNSUPPORTED", { subject: `process ${pid}`, finding: `is in process group ${pgid}`, expectation });
