import { array, layout, u16, u32 } from "../bytes/layout.ts";
import { AF_UNIX } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { encodeUnixAddress, isAbstract, type UnixName } from "../linux/unix.ts";
import { bytesDatum, spaceDatum } from "../program/data.ts";
import { addDuplicate, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";
import { bind, connect, unlinkDeleted } from "./unix-binding.ts";
import { isDatagram, isEnd, isListening, type UnixSocket } from "./unix-description.ts";
import {
	groupOf,
	isOrphan,
	namesInOrder,
	otherEndOf,
	senderKey,
	type UnixGroup,
	waiting,
	wordsOf,
} from "./unix-group.ts";
import { fillQueue } from "./unix-queue.ts";
import { setUnixOptions } from "./unix-setting.ts";

type End = Slot<UnixSocket>;

/**
 * Sockets that are connected by some way are made together, at the turn of the first, and wait out of the way for theirs: who listens
 * comes before who connects, and that before who was accepted. The process makes them as its user: SO_PEERCRED tells of whoever
 * listened, connected or made the pair.
 */
export function openUnixSocket(slot: End, fds: FdAllocator, own: readonly End[]): void {
	const { number, closeOnExec, key, content } = slot;
	if (fds.asideFor(key) === undefined)
		makeGroup(
			own.filter((other) => other.content.group === content.group),
			fds,
		);
	addDuplicate(fds, waiting(fds, key), number, closeOnExec, `to its number, ${wordsOf(content)}`);
}

function makeGroup(members: readonly End[], fds: FdAllocator): void {
	const group = groupOf(members);
	fds.actor.asUser();
	for (const end of members) create(end, group, fds);
	for (const end of namesInOrder(group)) {
		bind(end, fds);
		if (isListening(end.content)) listen(end, group, fds);
		else {
			for (const client of group.clientsOf(end.content)) connect(client, end, fds);
			for (const name of group.lostSendersOf(end.content)) makeSender(end, name, fds);
		}
		unlinkDeleted(end, fds);
	}
	for (const { content, key } of members) setUnixOptions(content, waiting(fds, key), fds, "sizes");
	for (const end of members) fillQueue(end, group, fds);
	for (const { content, key } of members) {
		const fd = waiting(fds, key);
		setUnixOptions(content, fd, fds, "others");
		if (content.shutdown !== 0)
			fds.add("shutdown", [fd, BigInt(content.shutdown - 1)], `${wordsOf(content)}, as far as it was shut down`);
		addStatusFlags(fds, fd, group.isPaired(content) ? 0 : O.NONBLOCK, content.flags);
	}
	for (const { content } of members)
		for (const key of [otherEndOf(content), ...group.lostSendersOf(content).map((name) => senderKey(content, name))]) {
			const other = fds.asideFor(key);
			if (other !== undefined) fds.add("close", [{ valueOf: other }], "nobody had it");
		}
}

/** What socketpair(2) fills; nobody reads it, since the numbers are known. */
const pairEnds = layout("socket pair", { fd: array(u32, 2) });

function create(end: End, group: UnixGroup, fds: FdAllocator): void {
	const { content, key } = end;
	if (fds.asideFor(key) !== undefined || group.listenerOf(content) !== undefined) return;
	const type = BigInt(content.type);
	if (!group.isPaired(content)) {
		const flags = BigInt(O.NONBLOCK);
		const made = fds.open("socket", [BigInt(AF_UNIX), type | flags, 0n], wordsOf(content));
		fds.setAside(made, wordsOf(content), key);
		return;
	}
	const peer = group.partnerOf(content);
	const [ours, theirs] = [fds.nextFree(), fds.nextFree(1)];
	const both = spaceDatum(`ends of ${wordsOf(content)}`, pairEnds.size, 4);
	fds.add("socketpair", [BigInt(AF_UNIX), type, 0n, both], `${wordsOf(content)}, connected`);
	fds.setAside(ours, wordsOf(content), key);
	fds.setAside(
		theirs,
		peer === undefined ? `other end of ${wordsOf(content)}` : wordsOf(peer.content),
		peer?.key ?? otherEndOf(content),
	);
	for (const one of peer === undefined ? [end] : [end, peer])
		if (isDatagram(one.content) && one.content.peer === undefined && !isOrphan(one.content))
			fds.add("connect", [waiting(fds, one.key), nobody(), BigInt(u16.size)], `${wordsOf(one.content)}, to nobody`);
}

/** Who had sent a message and is gone. */
function makeSender(end: End, name: UnixName | undefined, fds: FdAllocator): void {
	const { content } = end;
	const key = senderKey(content, name);
	const what = `who sent to ${wordsOf(content)}`;
	fds.actor.asUser();
	const made = fds.open("socket", [BigInt(AF_UNIX), BigInt(content.type | O.NONBLOCK), 0n], what);
	fds.setAside(made, what, key);
	if (name !== undefined && isAbstract(name)) {
		const address = encodeUnixAddress(name);
		fds.add("bind", [waiting(fds, key), bytesDatum(`address of ${what}`, address), BigInt(address.length)], what);
	}
	connect({ ...end, key }, end, fds);
}

/** AF_UNSPEC: ends the connection of a datagram socket (connect(2)). */
const nobody = () => bytesDatum("nobody", new Uint8Array(u16.size));

/** Connects those that it had accepted, and accepts them, one after the other; then those that still wait. */
function listen(listener: End, group: UnixGroup, fds: FdAllocator): void {
	const { content, key } = listener;
	const fd = waiting(fds, key);
	const accepted = group.members.filter((end) => group.listenerOf(end.content) === listener);
	const inFlight = group.members.filter((end) => isEnd(end.content) && end.content.peer === content.inode);
	fds.actor.asUser();
	if (accepted.length > 0) {
		// a stranger's connection would fill the queue, and ours fail: what is accepted is what was connected
		fds.add("listen", [fd, 0n], `${wordsOf(content)}, for one at a time`);
		for (const end of accepted) {
			const client = group.peerOf(end.content);
			if (client === undefined) continue;
			connect(client, listener, fds);
			const made = fds.open("accept4", [fd, 0n, 0n, BigInt(O.NONBLOCK)], `accepted by ${wordsOf(content)}`);
			fds.setAside(made, wordsOf(end.content), end.key);
		}
	}
	fds.add("listen", [fd, BigInt(content.backlog)], `up to ${content.backlog} connections may wait`);
	for (const end of inFlight) connect(end, listener, fds);
}
