import { piecesOf } from "../bytes/extent.ts";
import { loss } from "../finding.ts";
import { MSG } from "../linux/msghdr.ts";
import { SOCK } from "../linux/socket.ts";
import type { Arg } from "../program/args.ts";
import { spaceDatum } from "../program/data.ts";
import type { FdAllocator, Slot } from "./steps.ts";
import { isDatagram, nameOf, type UnixMessage, type UnixSocket } from "./unix-description.ts";
import { otherEndOf, senderKey, type UnixGroup, waiting, wordsOf } from "./unix-group.ts";

type End = Slot<UnixSocket>;

/** Bytes of a stream that are sent at a time. */
const PORTION = 16_384n;

/** Sends what waited in it once more, from where it came. */
export function fillQueue(end: End, group: UnixGroup, fds: FdAllocator): void {
	const { content } = end;
	if (content.queue.length === 0) return;
	const most = content.queue.reduce((length, message) => Math.max(length, Number(message.content.length)), 1);
	const room = spaceDatum(`messages of ${wordsOf(content)}`, content.type === SOCK.STREAM ? Number(PORTION) : most);
	for (const message of content.queue) {
		const sender = senderOf(end, message, group, fds);
		if (sender === undefined) {
			fds.report(
				loss("queued-data", `descriptor ${end.number}`, "had messages of a sender that is gone; they are lost"),
			);
			return;
		}
		const pieces = content.type === SOCK.STREAM ? [...piecesOf(message.content, PORTION)] : [message.content];
		for (const { source, offset, length } of pieces) {
			const expect = { exactly: length };
			if (length > 0n)
				fds.add(
					"pread64",
					[{ input: fds.inputs.source(source) }, room, length, offset],
					`what waited in ${wordsOf(content)}`,
					{
						expect,
					},
				);
			const flags = BigInt(MSG.DONTWAIT | MSG.NOSIGNAL);
			fds.add("sendto", [sender, room, length, flags, 0n, 0n], `into ${wordsOf(content)}`, { expect });
		}
	}
}

function senderOf(
	{ content }: End,
	{ from }: UnixMessage,
	{ members, peerOf }: UnixGroup,
	fds: FdAllocator,
): Arg | undefined {
	const other = fds.asideFor(otherEndOf(content));
	if (other !== undefined) return { valueOf: other };
	const peer = peerOf(content);
	if (peer !== undefined && peer.content.peer === content.inode) return waiting(fds, peer.key);
	if (!isDatagram(content)) return undefined;
	const lost = fds.asideFor(senderKey(content, from));
	if (lost !== undefined) return { valueOf: lost };
	const senders = members.filter((end) => end.content.peer === content.inode);
	const name = from === undefined ? undefined : nameOf({ name: from });
	const sender = senders.find((end) => nameOf({ ...end.content }) === name) ?? senders[0];
	return sender === undefined ? undefined : waiting(fds, sender.key);
}
