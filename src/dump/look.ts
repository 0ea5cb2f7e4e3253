import type { BigIntStats } from "node:fs";
import type { Look, SocketSight } from "../descriptors/ask.ts";
import { socketOf } from "../proc/sockets.ts";
import { readSwitch } from "../proc/sys.ts";
import { otherName, lookAt as pathLooks } from "./other-name.ts";

/** What can be asked about a process that still runs. @param sights of its sockets, as far as they were looked at, by their links. */
export function lookAt(pid: number, sights: ReadonlyMap<string, SocketSight> = new Map()): Look {
	const sockets = new Map(sights);
	return {
		pid,
		leadsTo: isStillThere,
		otherName,
		sysctl: readSwitch,
		socket: (link) => {
			const known = sockets.get(link) ?? socketOf(pid, link);
			sockets.set(link, known);
			return known;
		},
	};
}

/** Whether its path still leads to it: not unlinked, not replaced, nothing mounted over it. */
function isStillThere(path: string, { ino, dev }: Pick<BigIntStats, "ino" | "dev">): boolean {
	const here = pathLooks(path);
	return here?.ino === ino && here.dev === dev;
}
