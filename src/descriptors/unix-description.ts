import type { Extent } from "../bytes/extent.ts";
import { textFromBytes } from "../bytes/text.ts";
import { SOCK } from "../linux/socket.ts";
import { isAbstract, isRelative, type UnixName, unixNameText } from "../linux/unix.ts";
import { UNIX_STATE } from "../linux/unix-diag.ts";
import type { DescriptionCommon } from "./description.ts";
import type { SocketOptions } from "./socket-options.ts";

/** A unix socket. Whom it is connected to is among those that are dumped with it, or gone. */
export interface UnixSocket extends DescriptionCommon {
	readonly kind: "unix-socket";
	/** The kernel's number of the socket: others name it by that. */
	readonly inode: number;
	/** SOCK_ number. */
	readonly type: number;
	/** {@link UNIX_STATE} */
	readonly state: number;
	/** Of a listener: how many connections may wait. */
	readonly backlog: number;
	/** The inode of whom it is connected to; of the listener where nobody has accepted it yet. Absent for nobody. */
	readonly peer?: number;
	readonly name?: UnixName;
	/** Where a relative name begins. */
	readonly directory?: string;
	/** Its file, where it has one. */
	readonly file?: SocketFile;
	/** Its path had been unlinked. */
	readonly deleted?: true;
	/** Sides that were shut down: 1 for reading, 2 for writing. */
	readonly shutdown: number;
	readonly options: SocketOptions;
	/** Microseconds; 0 for none. */
	readonly timeouts: { readonly send: bigint; readonly receive: bigint };
	/** Whom it is connected to is not dumped with it. */
	readonly stranger?: true;
	/** CRIU's id of its network namespace. */
	readonly namespace?: number;
	/** Sockets with equal numbers are connected by some way, and made together. */
	readonly group: number;
	/** What waits to be read, in its order: each a message, or what was sent to a stream. */
	readonly queue: readonly UnixMessage[];
}

export interface UnixMessage {
	readonly content: Extent;
	/** The name of whoever sent it, where that is known. */
	readonly from?: UnixName;
	/** What is sent with it that is no bytes (SCM_RIGHTS): ids of file entries. */
	readonly rights?: readonly number[];
}

/** How the file of a bound socket looks. */
export interface SocketFile {
	/** st_mode. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
}

export const isListening = ({ state }: Pick<UnixSocket, "state">): boolean => state === UNIX_STATE.LISTEN;

/** Whether messages keep their bounds and nobody has to be connected. */
export const isDatagram = ({ type }: Pick<UnixSocket, "type">): boolean => type === SOCK.DGRAM;

/** One end of a connection. */
export const isEnd = ({ type, state }: Pick<UnixSocket, "type" | "state">): boolean =>
	type !== SOCK.DGRAM && state === UNIX_STATE.ESTABLISHED;

/** The directory in which its name begins, and what it is called there; `undefined` for one without a file. */
export function placeOf({ name, directory }: Pick<UnixSocket, "name" | "directory">): SocketPlace | undefined {
	if (name === undefined || isAbstract(name)) return undefined;
	const path = textFromBytes(name);
	if (isRelative(name)) return directory === undefined ? undefined : { directory, name: path, relative: true };
	const at = path.lastIndexOf("/");
	return { directory: path.slice(0, at) || "/", name: path.slice(at + 1), relative: false };
}

export interface SocketPlace {
	readonly directory: string;
	/** Below the directory. */
	readonly name: string;
	readonly relative: boolean;
}

/** Whether its name goes through further directories, which may be links by now: nobody but its user takes that way. */
export const leadsOn = ({ name }: Pick<SocketPlace, "name">): boolean => name.includes("/");

/** For people, and to tell names apart: two names are equal when these are. */
export const nameOf = ({ name, directory }: Pick<UnixSocket, "name" | "directory">): string | undefined =>
	name === undefined ? undefined : isRelative(name) ? `${directory ?? "?"}/${unixNameText(name)}` : unixNameText(name);

/** What ties a socket to others. */
export interface Tied extends Pick<UnixSocket, "inode" | "type" | "state" | "peer" | "name" | "directory"> {}

/** By inode: the lowest inode of those that a socket is connected with by some way. */
export function groupsOf(sockets: readonly Tied[]): ReadonlyMap<number, number> {
	const parents = new Map(sockets.map(({ inode }) => [inode, inode]));
	const rootOf = (inode: number): number => {
		let at = inode;
		for (let next = parents.get(at) ?? at; next !== at; next = parents.get(at) ?? at) at = next;
		parents.set(inode, at);
		return at;
	};
	const tie = (a: number, b: number): void => {
		const [low, high] = [rootOf(a), rootOf(b)].sort((x, y) => x - y);
		if (low !== undefined && high !== undefined) parents.set(high, low);
	};
	const named = new Map<string, number>();
	for (const socket of sockets) {
		const { inode, peer } = socket;
		if (peer !== undefined && parents.has(peer)) tie(inode, peer);
		// an end that was accepted has the name of its listener; who has lost it is made before who has it now, of whatever type
		const name = nameOf(socket);
		if (name === undefined) continue;
		const other = named.get(name);
		if (other === undefined) named.set(name, inode);
		else tie(inode, other);
	}
	return new Map(sockets.map(({ inode }) => [inode, rootOf(inode)]));
}
