import { readFileSync } from "node:fs";
import { refuse } from "../errors.ts";

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
			remedy: holder.zombie
				? "end its parent, or restore in a new pid namespace (unshare -pf --mount-proc)"
				: "restore in a new pid namespace (unshare -pf --mount-proc)",
		});
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
