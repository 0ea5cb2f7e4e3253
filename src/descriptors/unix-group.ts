import { type UnixName, unixNameText } from "../linux/unix.ts";
import { UNIX_STATE } from "../linux/unix-diag.ts";
import type { Arg } from "../program/args.ts";
import type { FdAllocator, Slot } from "./steps.ts";
import { isDatagram, isEnd, isListening, nameOf, type UnixSocket } from "./unix-description.ts";

type End = Slot<UnixSocket>;

/** What was set aside. */
export function waiting(fds: FdAllocator, key: string): Arg {
	const place = fds.asideFor(key);
	if (place === undefined) throw new RangeError(`nothing was set aside for ${key}`);
	return { valueOf: place };
}

/** What somebody is kept under who sent a message and is gone. */
export const senderKey = ({ inode }: UnixSocket, name: UnixName | undefined): string =>
	`sender ${name === undefined ? "" : unixNameText(name)} to unix socket ${inode}`;

/** What the other end of a pair is kept under until the pair is whole, where nobody has it any more. */
export const otherEndOf = ({ inode }: UnixSocket): string => `the other end of unix socket ${inode}`;

export const wordsOf = (socket: UnixSocket): string => {
	const name = nameOf(socket);
	return name === undefined ? `unix socket ${socket.inode}` : `unix socket ${name}`;
};

/** Sockets that are connected by some way. */
export interface UnixGroup {
	readonly members: readonly End[];
	/** Whom a socket is connected to, where that is one of them. */
	peerOf(socket: UnixSocket): End | undefined;
	/** The listener that an end was accepted by. */
	listenerOf(socket: UnixSocket): End | undefined;
	/** Whether socketpair(2) makes it. */
	isPaired(socket: UnixSocket): boolean;
	/** With whom. */
	partnerOf(socket: UnixSocket): End | undefined;
	/** Datagram sockets that are connected to one by its name. */
	clientsOf(socket: UnixSocket): readonly End[];
	/** Names, or none, of those that sent it what waits in it, and are not there. */
	lostSendersOf(socket: UnixSocket): readonly (UnixName | undefined)[];
}

export function groupOf(members: readonly End[]): UnixGroup {
	const byInode = new Map(members.map((end) => [end.content.inode, end]));
	const listeners = new Map(
		members.flatMap((end) => (isListening(end.content) ? [[`${end.content.type} ${nameOf(end.content)}`, end]] : [])),
	);
	const peerOf = ({ peer }: UnixSocket): End | undefined => (peer === undefined ? undefined : byInode.get(peer));
	const listenerOf = (socket: UnixSocket): End | undefined => {
		const peer = peerOf(socket)?.content;
		if (!isEnd(socket) || socket.name === undefined || peer === undefined || isListening(peer)) return undefined;
		const listener = listeners.get(`${socket.type} ${nameOf(socket)}`);
		// both ends of a connection cannot have been accepted
		return nameOf(peer) === nameOf(socket) && peer.inode < socket.inode ? undefined : listener;
	};
	const partnerOf = (socket: UnixSocket): End | undefined => {
		const peer = peerOf(socket);
		if (isEnd(socket))
			return peer === undefined || isListening(peer.content) || listenerOf(socket) || listenerOf(peer.content)
				? undefined
				: peer;
		if (!isDatagram(socket)) return undefined;
		// who has no name was not found by it
		if (peer !== undefined && peer.content.name === undefined) return peer;
		return socket.name === undefined
			? members.find(({ content }) => isDatagram(content) && content.peer === socket.inode)
			: undefined;
	};
	const isAlone = (socket: UnixSocket): boolean => {
		if (isEnd(socket)) return peerOf(socket) === undefined;
		const { name, peer, queue } = socket;
		return isDatagram(socket) && name === undefined && peer === undefined && (isOrphan(socket) || queue.length > 0);
	};
	const lostSendersOf = ({ type, inode, name, peer, queue }: UnixSocket): readonly (UnixName | undefined)[] => {
		if (!isDatagram({ type }) || name === undefined || peer !== undefined) return [];
		const senders = members.filter(({ content }) => content.peer === inode);
		const there = new Set(senders.map(({ content }) => nameOf(content)));
		const lost = queue.flatMap(({ from }) => (there.has(from && unixNameText(from)) ? [] : [from]));
		// images of others do not say who sent a message: whoever is there may have
		const named = lost.filter((from) => from !== undefined || senders.length === 0);
		return [...new Map(named.map((from) => [from && unixNameText(from), from])).values()];
	};
	return {
		...{ members, lostSendersOf, peerOf, listenerOf, partnerOf },
		isPaired: (socket) => partnerOf(socket) !== undefined || isAlone(socket),
		clientsOf: ({ inode }) =>
			members.filter(
				({ content }) => isDatagram(content) && content.peer === inode && partnerOf(content)?.content.inode !== inode,
			),
	};
}

/** A datagram socket that says it is connected, and nobody is there. */
export const isOrphan = ({ state, name, peer }: UnixSocket): boolean =>
	state === UNIX_STATE.ESTABLISHED && name === undefined && peer === undefined;

/**
 * Those with a name of their own, in the order in which they get it: what has lost its path before who has the path now, and a
 * datagram socket that others are connected to before it is connected itself, for then it takes no more.
 */
export function namesInOrder({ members, listenerOf, peerOf }: UnixGroup): readonly End[] {
	const own = members.filter(({ content }) => content.name !== undefined && listenerOf(content) === undefined);
	const ordered: End[] = [];
	const visited = new Set<End>();
	const visit = (end: End): void => {
		if (visited.has(end)) return;
		visited.add(end);
		for (const other of own) if (isDatagram(other.content) && peerOf(other.content) === end) visit(other);
		ordered.push(end);
	};
	for (const deleted of [true, undefined]) for (const end of own) if (end.content.deleted === deleted) visit(end);
	return ordered;
}
