import { readdirSync, readFileSync } from "node:fs";
import { refuse } from "../errors.ts";

const WAYS_OUT = "restore into a new pid namespace with --pid-namespace, or with new ids with --fresh-ids";

/**
 * Refuses when an id that the process needs is taken, and names who has it.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireFreeIds(tids: readonly number[]): void {
	for (const tid of tids) {
		const holder = holderOf(tid);
		if (holder === undefined) continue;
		refuse("ERR_PID_TAKEN", {
			subject: `pid ${tid}`,
			finding: `is taken by "${holder.comm}"${holder.zombie ? ", which is dead but not yet reaped by its parent" : ""}`,
			expectation: "expected it to be free",
			remedy: holder.zombie ? `end its parent, or ${WAYS_OUT}` : WAYS_OUT,
		});
	}
}

/**
 * Refuses the id that the first process of a pid namespace has. What died as the main process of a container has it.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireNoFirst(tids: readonly number[]): void {
	if (!tids.includes(1)) return;
	refuse("ERR_PID_TAKEN", {
		subject: "pid 1",
		finding: "is that of the first process of every pid namespace, which signals do not reach as they reach others",
		expectation: "expected another",
		remedy: "restore with new ids with --fresh-ids",
	});
}

/**
 * Refuses an id for which the kernel said EEXIST though no process has it: it names the session or the process group of others,
 * who outlived the process that had led them.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireNoHeirs(id: number): void {
	const heir = heirOf(id);
	if (heir === undefined) return;
	refuse("ERR_PID_TAKEN", {
		subject: `pid ${id}`,
		finding: `is still the ${heir.of} of "${heir.comm}" (process ${heir.pid})`,
		expectation: "expected it to be free",
		remedy: `end that one, or ${WAYS_OUT}`,
	});
}

interface Heir {
	readonly pid: number;
	readonly comm: string;
	readonly of: "session" | "process group";
}

function heirOf(id: number): Heir | undefined {
	for (const name of readdirSync("/proc")) {
		const stat = /^\d+$/.test(name) ? statOf(name) : undefined;
		const [, comm = "", rest = ""] = /^\d+ \((.*)\) (.*)$/s.exec(stat ?? "") ?? [];
		const [, , group, session] = rest.split(" ").map(Number);
		if (session === id || group === id)
			return { pid: Number(name), comm, of: session === id ? "session" : "process group" };
	}
	return undefined;
}

function statOf(pid: string): string | undefined {
	try {
		return readFileSync(`/proc/${pid}/stat`, "latin1");
	} catch {
		return undefined;
	}
}

function holderOf(tid: number): { readonly comm: string; readonly zombie: boolean } | undefined {
	try {
		const status = readFileSync(`/proc/${tid}/status`, "utf8");
		const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
		return { comm: field("Name"), zombie: field("State").startsWith("Z") };
	} catch {
		return undefined;
	}
}
