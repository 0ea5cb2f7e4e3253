import type { Clocks } from "../linux/time.ts";
import { linkIn, placeOf, textIn, writeIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** Links of /proc/PID/ns (namespaces(7)). */
export type Namespace =
	| ("cgroup" | "ipc" | "mnt" | "net" | "pid" | "time" | "user" | "uts")
	| ("pid_for_children" | "time_for_children");

/** Those that a process has of whoever restores it: none is made for it. */
export type OpenNamespace = Extract<Namespace, "cgroup" | "net" | "uts">;

/** `net:[4026531840]`: the same for all who live in it. */
export const readNamespace = (whose: Whose, name: Namespace): string => linkIn(whose, `ns/${name}`);

/** Where to open it, for setns(2). */
export const pathOfNamespace = (whose: Whose, name: Namespace): string => placeOf(whose, `ns/${name}`);

const NANOSECONDS = 1_000_000_000n;

/** What is added to the clocks of the host for the children of a process, nanoseconds. */
export const readTimensOffsets = (whose: Whose): Clocks => parseTimensOffsets(textIn(whose, "timens_offsets"));

/** /proc/PID/timens_offsets (kernel/time/namespace.c). */
export function parseTimensOffsets(text: string): Clocks {
	const offset = (clock: string): bigint => {
		const [, seconds = "0", rest = "0"] = new RegExp(`^${clock}\\s+(-?\\d+)\\s+(\\d+)$`, "m").exec(text) ?? [];
		return BigInt(seconds) * NANOSECONDS + BigInt(rest);
	};
	return { monotonic: offset("monotonic"), boottime: offset("boottime") };
}

/** Of {@link timensOffsetsText}, bytes. */
export const TIMENS_OFFSETS_SIZE = 2 * (9 + 1 + 20 + 1 + 9 + 1);

/**
 * What to write there: always as long, so that who reads it from a stream knows when it has all. The kernel passes over
 * blanks, and takes nanoseconds from 0 to 999,999,999 only, for negative offsets too.
 */
export const timensOffsetsText = (offsets: Clocks): string =>
	(["monotonic", "boottime"] as const)
		.map((clock) => {
			const rest = ((offsets[clock] % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
			const seconds = (offsets[clock] - rest) / NANOSECONDS;
			return `${clock.padEnd(9)} ${seconds.toString().padStart(20)} ${rest.toString().padStart(9)}\n`;
		})
		.join("");

/** One row of uid_map or gid_map: `count` ids from `inside` on are those from `outside` on. */
export interface IdRange {
	readonly inside: number;
	readonly outside: number;
	readonly count: number;
}

export const readIdMap = (whose: Whose, of: "uid" | "gid"): readonly IdRange[] =>
	parseIdMap(textIn(whose, `${of}_map`));

/** /proc/PID/uid_map and gid_map (user_namespaces(7)). */
export const parseIdMap = (text: string): readonly IdRange[] =>
	[...text.matchAll(/^\s*(\d+)\s+(\d+)\s+(\d+)$/gm)].map(([, inside, outside, count]) => ({
		inside: Number(inside),
		outside: Number(outside),
		count: Number(count),
	}));

/**
 * Gives a new user namespace one user and one group, as its owner may without any right (user_namespaces(7)): setgroups(2) is
 * switched off before the groups.
 *
 * @returns what the kernel did not take, and why; `undefined` when all is written.
 */
export function writeOneUser(
	whose: Whose,
	uid: Omit<IdRange, "count">,
	gid: Omit<IdRange, "count">,
): { readonly file: string; readonly code: string } | undefined {
	const row = ({ inside, outside }: Omit<IdRange, "count">): string => `${inside} ${outside} 1`;
	const files = [
		["uid_map", row(uid)],
		["setgroups", "deny"],
		["gid_map", row(gid)],
	] as const;
	for (const [file, text] of files)
		try {
			writeIn(whose, file, text);
		} catch (cause) {
			const { code = String(cause) } = cause as NodeJS.ErrnoException;
			return { file, code };
		}
	return undefined;
}
