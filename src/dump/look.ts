import type { Inode, Look, SocketSight } from "../descriptors/ask.ts";
import { S_IFLNK, S_IFMT } from "../linux/stat.ts";
import { ifShown } from "../proc/if-shown.ts";
import { fileSystemOf } from "../proc/links.ts";
import { readNamespace } from "../proc/namespaces.ts";
import { readSwitch } from "../proc/sys.ts";
import { lookAt as pathLooks } from "./looks.ts";
import { otherName } from "./other-name.ts";
import type { LiveTerminals } from "./terminals.ts";

/** What is known of all that are dumped. */
export type Others = Pick<Look, "unix" | "together">;

/** What can be asked about a process that still runs. @param sights of its sockets, by their links. */
export const lookAt = (
	pid: number,
	sights: ReadonlyMap<string, SocketSight>,
	terminals: Pick<LiveTerminals, "isElsewhere">,
	others: Others,
): Look => ({
	...others,
	pid,
	leadsTo: isStillThere,
	isMessageQueue: ({ number }) => ifShown(() => fileSystemOf(pid, `fd/${number}`)) === MQUEUE_MAGIC,
	otherName,
	sysctl: readSwitch,
	namespace: (name) => ifShown(() => readNamespace("self", name)),
	isElsewhere: (open, place) => terminals.isElsewhere(pid, open, place),
	socket: (link) => sights.get(link) ?? { words: "a socket" },
});

/** ipc/mqueue.c */
const MQUEUE_MAGIC = 0x19800202n;

/** Whether its path still leads to it: not unlinked, not replaced, nothing mounted over it. */
function isStillThere(path: string, { ino, dev, mode = 0n }: Inode): boolean {
	const here = pathLooks(path, (Number(mode) & S_IFMT) !== S_IFLNK);
	return here?.ino === ino && here.dev === dev;
}
