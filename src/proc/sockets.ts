import { ifShown } from "./if-shown.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** The column of the state in /proc/PID/net/tcp, in hexadecimal. */
const TCP_STATE_COLUMN = 3;

export type SocketFamily = "unix" | "inet" | "netlink" | "packet";

/** Files of /proc/PID/net, the column of the inode in each, and what its sockets are. */
const tables: readonly (readonly [file: string, inode: number, family: SocketFamily, words: string])[] = [
	["tcp", 9, "inet", "a TCP socket"],
	["tcp6", 9, "inet", "a TCP socket"],
	["udp", 9, "inet", "a UDP socket"],
	["udp6", 9, "inet", "a UDP socket"],
	["netlink", 9, "netlink", "a netlink socket"],
	["packet", 8, "packet", "a packet socket"],
	// last: a unix socket's name is anything, and with a line break in it a row of its own, about a socket of somebody else's
	["unix", 6, "unix", "a unix socket"],
];

/** A socket by its row; for people too. */
export interface ListedSocket {
	readonly family: SocketFamily;
	readonly words: string;
	/** Of a TCP socket. */
	readonly tcpState?: number;
}

/** What a process sees of all sockets of its network namespace, by what descriptors of them are called (`socket:[4711]`). */
export function listedSockets(whose: Whose): ReadonlyMap<string, ListedSocket> {
	const found = new Map<string, ListedSocket>();
	for (const [file, column, family, words] of tables)
		for (const line of (ifShown(() => textIn(whose, `net/${file}`)) ?? "").split("\n")) {
			const row = line.trim().split(/\s+/);
			const link = `socket:[${row[column]}]`;
			if (found.has(link)) continue;
			const path = file === "unix" ? row[column + 1] : undefined;
			const state = file.startsWith("tcp") ? { tcpState: Number.parseInt(row[TCP_STATE_COLUMN] ?? "0", 16) } : {};
			found.set(link, { family, words: path === undefined ? words : `${words} (${path})`, ...state });
		}
	return found;
}
