import { UNIX_STATE, type UnixDiag } from "../linux/unix-diag.ts";
import { groupsOf } from "./unix-description.ts";

/** The unix sockets of all processes that are dumped together. */
export interface UnixSights {
	/** @param link `socket:[4711]`; `undefined` where it is no unix socket, or the kernel does not tell. */
	of(link: string): UnixDiag | undefined;
	/** Whether a socket is one of them. */
	has(inode: number): boolean;
	/** The listener at which a socket waits to be accepted. */
	listenerOf(inode: number): number | undefined;
	/** Whether a process is dumped. */
	isDumped(pid: number): boolean;
	/** Sockets with equal numbers are connected by some way. */
	groupOf(inode: number): number;
}

/** @param pids of the processes that are dumped */
export function unixSightsOf(all: readonly UnixDiag[], pids: readonly number[] = []): UnixSights {
	const known = new Map(all.map((diag) => [diag.inode, diag]));
	const listeners = new Map(
		all.flatMap(({ inode, state, waiting }) =>
			state === UNIX_STATE.LISTEN ? waiting.map((client): [number, number] => [client, inode]) : [],
		),
	);
	const groups = groupsOf(
		all.map((diag) => {
			const peer = listeners.get(diag.inode) ?? diag.peer;
			return peer === undefined ? diag : { ...diag, peer };
		}),
	);
	return {
		of: (link) => known.get(Number(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? -1)),
		has: (inode) => known.has(inode),
		listenerOf: (inode) => listeners.get(inode),
		isDumped: (pid) => pids.includes(pid),
		groupOf: (inode) => groups.get(inode) ?? inode,
	};
}
