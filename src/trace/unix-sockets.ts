import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { i32, i32Bytes, u32, viewOf } from "../bytes/layout.ts";
import { refuse } from "../errors.ts";
import { EAGAIN, errnoName, failedWith } from "../linux/errno.ts";
import { iovec } from "../linux/io.ts";
import { cmsghdr, MSG, msghdr, SCM_MAX_FD, SCM_RIGHTS } from "../linux/msghdr.ts";
import { O } from "../linux/open.ts";
import { SO, SOCK, SOL_SOCKET } from "../linux/socket.ts";
import { decodeUnixAddress, SIOCUNIXFILE, SOCKADDR_UN_SIZE, type UnixName } from "../linux/unix.ts";
import {
	AF_NETLINK,
	decodeUnixDiag,
	NETLINK_SOCK_DIAG,
	UNIX_DIAG_ANSWER,
	type UnixDiag,
	unixDiagRequest,
} from "../linux/unix-diag.ts";

const PATIENCE = 30_000;

/**
 * What the kernel tells of unix sockets of the agent's network namespace. Those that are none, or of which it does not tell, are left
 * out.
 *
 * @throws NecromancerError ERR_HOST
 */
export async function unixSocketsAmong(agent: Agent, inodes: readonly number[]): Promise<readonly UnixDiag[]> {
	if (inodes.length === 0) return [];
	const netlink = await agent.call("socket", AF_NETLINK, SOCK.RAW | O.CLOEXEC, NETLINK_SOCK_DIAG);
	if (netlink < 0n) return [];
	const found: UnixDiag[] = [];
	await inBatches(agent, inodes, {
		doing: "asking about unix sockets",
		patience: PATIENCE,
		add: (batch, inode) => {
			const request = batch.put(unixDiagRequest(inode));
			batch.call("sendto", netlink, request, request.size, 0, 0, 0);
			const answer = batch.space(UNIX_DIAG_ANSWER);
			return { answer, result: batch.call("recvfrom", netlink, answer, answer.size, MSG.DONTWAIT, 0, 0) };
		},
		read: (done, { answer, result }) => {
			const length = Number(done.result(result));
			const diag = length < 0 ? undefined : decodeUnixDiag(done.bytes(answer).subarray(0, length));
			if (diag !== undefined) found.push(diag);
		},
	});
	await agent.call("close", netlink);
	return found;
}

/** A message in a socket's queue. */
export interface PeekedMessage {
	readonly bytes: Buffer;
	/** Who sent it. */
	readonly from?: UnixName;
	/** Descriptors that came with it, which the agent has now too. */
	readonly rights: readonly number[];
}

/** Bytes that are read at a time. */
const PORTION = 32_768;

const CONTROL = 1024 + SCM_MAX_FD * i32.size;

/** Peeks at what comes first, wherever others have peeked to (socket(7), SO_PEEK_OFF). */
const AT_FIRST = -1;

/**
 * A copy of what waits in a unix socket, which stays there (MSG_PEEK).
 *
 * folklore: a message of no bytes is passed over once somebody has peeked at it, if it is not the first (net/core/datagram.c,
 * `skb->peeked`, Linux 6.18): so a second look does not see those that are seen here.
 *
 * @param socket a descriptor of the agent's
 * @param type SOCK_ number: the messages of a stream have no bounds.
 * @throws NecromancerError ERR_HOST
 */
export async function peekMessages(
	agent: Agent,
	socket: bigint,
	type: number,
	subject: string,
): Promise<readonly PeekedMessage[]> {
	const stream = type === SOCK.STREAM;
	const before = {
		offset: await optionOf(agent, socket, SO.PEEK_OFF),
		credentials: await optionOf(agent, socket, SO.PASSCRED),
	};
	const look = (at: number): Promise<Peek> => peek(agent, socket, at, type, before);
	const messages: PeekedMessage[] = [];
	const failed = (call: string, result: bigint): never =>
		refuse("ERR_HOST", { subject, finding: `${call} failed with ${errnoName(Number(result))}` });
	if (!stream) {
		const first = await look(AT_FIRST);
		if (first.result === 0n && !isEnd(type, first))
			messages.push({ ...first.message, rights: first.rights, bytes: first.bytes });
		else for (const fd of first.rights) await agent.call("close", fd);
	}
	for (let at = 0; ; ) {
		const first = await look(at);
		if (failedWith(first.result, EAGAIN) || (first.result === 0n && isEnd(type, first))) break;
		if (first.result < 0n) failed("recvmsg", first.result);
		// of a message it is the whole length (MSG_TRUNC)
		const length = Number(first.result);
		const parts = [first.bytes];
		for (let have = first.bytes.length; !stream && have < length; ) {
			const more = await look(at + have);
			for (const fd of more.rights) await agent.call("close", fd);
			if (more.result <= 0n) failed("recvmsg", more.result);
			parts.push(more.bytes);
			have += more.bytes.length;
		}
		const bytes = Buffer.concat(parts);
		messages.push({ ...first.message, rights: first.rights, bytes });
		at += bytes.length;
	}
	return messages;
}

interface Peek {
	readonly result: bigint;
	readonly bytes: Buffer;
	readonly message: Pick<PeekedMessage, "from">;
	readonly rights: readonly number[];
	/** Whether something came besides the bytes. */
	readonly accompanied: boolean;
}

/** Whether no bytes mean that nothing more will come. */
const isEnd = (type: number, { accompanied }: Peek): boolean =>
	type === SOCK.STREAM || (type === SOCK.SEQPACKET && !accompanied);

async function optionOf(agent: Agent, socket: bigint, option: number): Promise<Uint8Array> {
	const value = i32Bytes(0);
	await agent.call("getsockopt", socket, SOL_SOCKET, option, value, i32Bytes(i32.size));
	return value;
}

/** @param before the socket's options, which it has again when the batch is done */
async function peek(
	agent: Agent,
	socket: bigint,
	at: number,
	type: number,
	before: { readonly offset: Uint8Array; readonly credentials: Uint8Array },
): Promise<Peek> {
	const batch = agent.batch();
	const [bytes, name, control] = [batch.space(PORTION), batch.space(SOCKADDR_UN_SIZE + 1), batch.space(CONTROL)];
	const vector = batch.put(iovec.encode({ iov_base: bytes.at, iov_len: BigInt(PORTION) }));
	const header = batch.put(
		msghdr.encode({
			...{ msg_name: name.at, msg_namelen: name.size, msg_iov: vector.at, msg_iovlen: 1n },
			...{ msg_control: control.at, msg_controllen: BigInt(control.size), msg_flags: 0 },
		}),
	);
	const set = (option: number, value: Uint8Array): void =>
		void batch.call("setsockopt", socket, SOL_SOCKET, option, batch.put(value), i32.size);
	const flags = MSG.PEEK | MSG.DONTWAIT | MSG.TRUNC | MSG.CMSG_CLOEXEC;
	// with every packet come credentials then, and none where the connection ends: both are no bytes
	const asks = type === SOCK.SEQPACKET;
	set(SO.PEEK_OFF, i32Bytes(at));
	if (asks) set(SO.PASSCRED, i32Bytes(1));
	const slot = batch.call("recvmsg", socket, header, flags);
	if (asks) set(SO.PASSCRED, before.credentials);
	set(SO.PEEK_OFF, before.offset);
	const done = await agent.perform(batch, { patience: PATIENCE, doing: "copying what waits in a socket" });
	const result = done.result(slot);
	if (result < 0n) return { result, bytes: Buffer.alloc(0), message: {}, rights: [], accompanied: false };
	const told = msghdr.decode(done.bytes(header));
	const from = decodeUnixAddress(done.bytes(name).subarray(0, told.msg_namelen));
	return {
		result,
		bytes: Buffer.from(done.bytes(bytes).subarray(0, Math.min(Number(result), PORTION))),
		message: from === undefined ? {} : { from },
		accompanied: told.msg_controllen > 0n,
		rights: rightsIn(done.bytes(control).subarray(0, Number(told.msg_controllen))),
	};
}

/** Descriptors in ancillary data (cmsg(3)). */
function rightsIn(control: Buffer): number[] {
	const rights: number[] = [];
	for (let at = 0; at + cmsghdr.size <= control.length; ) {
		const { cmsg_len, cmsg_level, cmsg_type } = cmsghdr.decode(control.subarray(at));
		const end = at + Number(cmsg_len);
		if (cmsg_len < BigInt(cmsghdr.size) || end > control.length) break;
		if (cmsg_level === SOL_SOCKET && cmsg_type === SCM_RIGHTS)
			for (let data = at + cmsghdr.size; data + u32.size <= end; data += u32.size)
				rights.push(i32.read(viewOf(control), data));
		at = Math.ceil(end / 8) * 8;
	}
	return rights;
}

/**
 * Opens the file that a unix socket is bound to, with O_PATH: a descriptor of the agent's, or -errno. It takes CAP_NET_ADMIN in the
 * network namespace of the socket.
 */
export const openSocketFile = (agent: Agent, socket: bigint): Promise<bigint> =>
	agent.call("ioctl", socket, SIOCUNIXFILE, 0);
