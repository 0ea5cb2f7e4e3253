import { ifShown } from "./if-shown.ts";
import { bytesIn, textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/*
 * Files of /proc/PID that hold one value (proc(5)).
 */

/** The name of a thread, of a process its first one's. */
export const readComm = (whose: Whose): string => textIn(whose, "comm").replace(/\n$/, "");

/** The arguments, each with its NUL; none where the process took them from its memory. */
export const readCmdline = (whose: Whose): string => textIn(whose, "cmdline");

/** The auxiliary vector as it was given to prctl(PR_SET_MM) or by execve(2). */
export const readAuxvBytes = (whose: Whose): Buffer => bytesIn(whose, "auxv");

/** -1000 … 1000. */
export const readOomScoreAdjust = (whose: Whose): number => Number(textIn(whose, "oom_score_adj"));

/** What a core of it is to hold (core(5)), a bit each; `undefined` where it has no memory, or the kernel writes no cores. */
export function readCoredumpFilter(whose: Whose): bigint | undefined {
	const text = (ifShown(() => textIn(whose, "coredump_filter")) ?? "").trim();
	return text === "" ? undefined : BigInt(`0x${text}`);
}

/** The user that logged in, for audit; `undefined` where the kernel has none. */
export const readLoginUid = (whose: Whose): string | undefined => valueIn(whose, "loginuid");

/** What a security module calls it (proc_pid_attr(5)); `undefined` without one. */
export const readSecurityLabel = (whose: Whose): string | undefined => valueIn(whose, "attr/current");

/** Its control groups (cgroups(7)): the path in the one hierarchy, and the lines of old ones behind it. */
export const readCgroup = (whose: Whose): string | undefined =>
	valueIn(whose, "cgroup")
		?.split("\n")
		.map((line) => line.replace(/^0::/, ""))
		.join(" ");

const valueIn = (whose: Whose, name: string): string | undefined =>
	ifShown(() => textIn(whose, name))?.replace(/[\0\n]+$/, "") || undefined;
