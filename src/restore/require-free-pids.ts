import { refuse } from "../errors.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import { processes } from "../proc/tasks.ts";

const WAYS_OUT = "restore into a new pid namespace with --pid-namespace, or with new ids with --fresh-ids";

/**
 * Refuses when an id that the process needs is taken, and names who has it.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireFreeIds(tids: readonly number[]): void {
	for (const tid of tids) {
		const holder = ifShown(() => readStatus(tid));
		if (holder === undefined) continue;
		const zombie = holder.state === "Z";
		refuse("ERR_PID_TAKEN", {
			subject: `pid ${tid}`,
			finding: `is taken by "${holder.name}"${zombie ? ", which is dead but not yet reaped by its parent" : ""}`,
			expectation: "expected it to be free",
			remedy: zombie ? `end its parent, or ${WAYS_OUT}` : WAYS_OUT,
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
	for (const pid of processes()) {
		const stat = ifShown(() => readStat(pid));
		if (stat === undefined || (stat.sid !== id && stat.pgid !== id)) continue;
		return { pid, comm: stat.comm, of: stat.sid === id ? "session" : "process group" };
	}
	return undefined;
}
