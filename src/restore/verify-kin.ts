import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import type { IdChoice } from "./ids.ts";
import type { Member } from "./members.ts";

/** Differences between whose child a process is, in which session and group, and what was planned, in words. */
export function kinDifferences({ pid, planned, isRoot }: Member, members: readonly Member[], ids: IdChoice): string[] {
	const differences: string[] = [];
	const differ = (what: string, is: number, expected: number): void => {
		if (is !== expected) differences.push(`${what} is ${is}, expected ${expected}`);
	};
	/** What was planned, as it is called here. */
	const here = (id: number): number => members.find((member) => member.planned.pid === id)?.pid ?? id;
	try {
		const { ppid, pgid, sid } = readStat(pid);
		if (!isRoot) differ("its parent", ppid, here(planned.ppid));
		// a leader that has ended has no id here
		const inside = ids === "namespace" ? readStatus(pid) : undefined;
		if (inside === undefined) {
			differ("its process group", pgid, here(planned.pgid));
			differ("its session", sid, here(planned.sid));
		} else {
			differ("its process group", inside.nspgids.at(-1) ?? 0, planned.pgid);
			differ("its session", inside.nssids.at(-1) ?? 0, planned.sid);
		}
	} catch (error) {
		differences.push(`it is gone (${error instanceof Error ? error.message : String(error)})`);
	}
	return differences;
}
