import { ifShown } from "./if-shown.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** The column of the state in /proc/PID/net/tcp, in hexadecimal. */
const TCP_STATE_COLUMN = 3;

type Family = "unix" | "inet" | "netlink" | "packet";

/** Files of /proc/PID/net, the column of the inode in each, and what its sockets are. */
const tables: readonly (readonly [file: string, inode: number, family: Family, words: string])[] = [
	["tcp", 9, "inet", "a TCP socket"],
	["tcp6", 9, "inet", "a TCP socket"],
	["udp", 9, "inet", "a UDP socket"],
	["udp6", 9, "inet", "a UDP socket"],
	["netlink", 9, "netlink", "a netlink socket"],
	["packet", 8, "packet", "a packet socket"],
	// last: a unix socket's name is anything, and with a line break in it a row of its own, about a socket of somebody else's
	["unix", 6, "unix", "a unix socket"],
];

/** What `socket:[4711]` of a process is; for people too. Without a family where no table has it. */
export function socketOf(
	whose: Whose,
	link: string,
): { readonly family?: Family; readonly words: string; readonly tcpState?: number } {
	const [, inode] = /^socket:\[(\d+)\]$/.exec(link) ?? [];
	for (const [file, column, family, words] of tables) {
		const rows = (ifShown(() => textIn(whose, `net/${file}`)) ?? "").split("\n");
		const row = rows.map((line) => line.trim().split(/\s+/)).find((fields) => fields[column] === inode);
		if (row === undefined) continue;
		const path = file === "unix" ? row[column + 1] : undefined;
		const state = file.startsWith("tcp") ? { tcpState: Number.parseInt(row[TCP_STATE_COLUMN] ?? "0", 16) } : {};
		return { family, words: path === undefined ? words : `${words} (${path})`, ...state };
	}
	return { words: "a socket" };
}
