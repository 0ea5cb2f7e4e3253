import { refuse } from "../../errors.ts";
import type { Standing } from "./standings.ts";

/** Who makes a process, and in which session it is born. */
export interface Birth {
	/** Absent for the first. */
	readonly maker?: Standing;
	/** The maker is no parent but a child of the same (CLONE_PARENT). */
	readonly sibling: boolean;
	/** The session; that of the maker where it does not matter. */
	readonly session?: number;
	/** It has the maker's descriptor table. */
	readonly borrows: boolean;
}

export interface Births {
	/** All that there were, and whoever stands in for a leader that is gone. */
	readonly standings: readonly Standing[];
	readonly of: ReadonlyMap<number, Birth>;
}

/**
 * Who is made by whom. A session is inherited: whoever is in another's was born in it, of a parent that did not lead one of its own
 * yet (setsid(2)). An orphan was born of somebody who is gone: whoever leads its session makes it as a child of their common parent
 * (CLONE_PARENT); where the leader is gone too, somebody stands in for it. In the same way somebody makes a sibling with whom it
 * shares a descriptor table that their parent has not.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for who can be born nowhere.
 */
export function birthsOf(given: readonly Standing[]): Births {
	const standings = [...given];
	const known = new Map(standings.map((it) => [it.pid, it]));
	const wishes = wishesOf(given);
	const of = new Map<number, Birth>();
	/** Sessions in which a process can have children: its own, and that which it was born in. */
	const open = (pid: number): readonly number[] => {
		const session = of.get(pid)?.session;
		return [known.get(pid)?.sid ?? 0, ...(session === undefined ? [] : [session])];
	};
	for (const standing of given) {
		const { pid, ppid, sid } = standing;
		const parent = pid === given[0]?.pid ? undefined : known.get(ppid);
		if (parent === undefined) {
			of.set(pid, { sibling: false, borrows: false });
			continue;
		}
		const twin = twinOf(standing, parent, given);
		const maker = twin ?? parent;
		const wish = sid === pid ? (wishes.get(pid) ?? []).find((it) => open(maker.pid).includes(it)) : sid;
		const borrows = twin !== undefined || (standing.table !== undefined && standing.table === parent.table);
		if (wish === undefined || open(maker.pid).includes(wish)) {
			of.set(pid, { maker, sibling: twin !== undefined, borrows, ...(wish === undefined ? {} : { session: wish }) });
			continue;
		}
		const leader = known.get(sid) ?? standInFor(sid, ppid);
		if (!known.has(sid)) {
			known.set(sid, leader);
			standings.push(leader);
			of.set(sid, { maker: parent, sibling: false, borrows: false });
		}
		if (leader.ppid !== ppid || leader.pid === given[0]?.pid)
			refuseOrphan(standing, `which neither it nor process ${ppid}, its parent, can have been born in`);
		if (borrows) refuseOrphan(standing, "and has a descriptor table that the leader of that has not");
		of.set(pid, { maker: leader, sibling: true, session: sid, borrows: false });
	}
	return { standings, of };
}

const standInFor = (pid: number, ppid: number): Standing => ({
	...{ pid, ppid, sid: pid, pgid: pid },
	fate: { kind: "stand-in" },
});

/** Sessions that a process which leads one should have been born in, for the sake of those below it. */
function wishesOf(standings: readonly Standing[]): ReadonlyMap<number, readonly number[]> {
	const wishes = new Map<number, number[]>();
	// children before parents
	for (const { pid, ppid, sid } of [...standings].reverse()) {
		const own = sid === pid ? (wishes.get(pid) ?? []) : [sid];
		const above = wishes.get(ppid) ?? [];
		wishes.set(ppid, [...own.filter((it) => it !== ppid && !above.includes(it)), ...above]);
	}
	return wishes;
}

/** A sibling that is there before, with whom it shares a table that their parent has not. */
function twinOf({ pid, ppid, table }: Standing, parent: Standing, all: readonly Standing[]): Standing | undefined {
	if (table === undefined || table === parent.table) return undefined;
	const first = all.find((it) => it.table === table);
	if (first === undefined || first.pid === pid) return undefined;
	if (first.ppid === ppid) return first;
	return refuse("ERR_UNSUPPORTED", {
		subject: `descriptor table ${table}`,
		finding: `is that of processes ${first.pid} and ${pid} (CLONE_FILES)`,
		expectation: "expected one of them to be the other's parent, or both to have one",
	});
}

const refuseOrphan = ({ pid, sid }: Standing, expectation: string): never =>
	refuse("ERR_UNSUPPORTED", { subject: `process ${pid}`, finding: `is in session ${sid}`, expectation });
