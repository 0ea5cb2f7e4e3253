import type { Description } from "../../descriptors/kinds.ts";
import type { Wait } from "./waits.ts";

type Kind = Description["kind"];

const EPOLL = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
const SOCKET = ["accept", "accept4", "connect", "recvfrom", "recvmsg", "recvmmsg", "sendto", "sendmsg"];

/** What a plugin of CRIU's or a later version has may be a socket too. */
const sockets: readonly Kind[] = [
	...["inet-socket", "unix-socket", "socket-pair", "packet-socket", "netlink-socket", "external", "unknown"],
] as const satisfies readonly Kind[];

/** Kinds that are never read, or never written: the call fails at once (EINVAL, EBADF), and nobody sleeps in it. */
const notRead: readonly Kind[] = ["epoll", "pidfd"];
const notWritten: readonly Kind[] = ["epoll", "timerfd", "signalfd", "inotify", "pidfd"];

/** The fewest bytes that a read takes, for kinds that refuse to give less: eventfd(2), timerfd_create(2), signalfd(2), inotify(7). */
const leastRead: Partial<Record<Kind, bigint>> = { eventfd: 8n, timerfd: 8n, signalfd: 128n, inotify: 16n };

/** Whether a thread can have slept in that call on a descriptor of that kind. */
export function canSleepIn({ call, count }: Pick<Wait, "call" | "count">, kind: Kind): boolean {
	if (EPOLL.includes(call)) return kind === "epoll";
	if (SOCKET.includes(call)) return sockets.includes(kind);
	if (call === "read" || call === "readv")
		return !notRead.includes(kind) && (count === undefined || count >= (leastRead[kind] ?? 0n));
	return (call !== "write" && call !== "writev") || !notWritten.includes(kind);
}
