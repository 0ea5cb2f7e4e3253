import { ifShown } from "./if-shown.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** Files of /proc/PID/net, the column of the inode in each, and what its sockets are. */
const tables: readonly (readonly [file: string, inode: number, words: string])[] = [
	["unix", 6, "a unix socket"],
	["tcp", 9, "a TCP socket"],
	["tcp6", 9, "a TCP socket"],
	["udp", 9, "a UDP socket"],
	["udp6", 9, "a UDP socket"],
	["netlink", 9, "a netlink socket"],
	["packet", 8, "a packet socket"],
];

/** What kind of socket `socket:[4711]` of a process is, for people. */
export function socketWords(whose: Whose, link: string): string {
	const [, inode] = /^socket:\[(\d+)\]$/.exec(link) ?? [];
	for (const [file, column, words] of tables) {
		const rows = (ifShown(() => textIn(whose, `net/${file}`)) ?? "").split("\n");
		const row = rows.map((line) => line.trim().split(/\s+/)).find((fields) => fields[column] === inode);
		if (row === undefined) continue;
		const path = file === "unix" ? row[column + 1] : undefined;
		return path === undefined ? words : `${words} (${path})`;
	}
	return "a socket";
}
