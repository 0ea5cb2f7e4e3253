import { i32Bytes } from "../bytes/layout.ts";
import { caution, loss } from "../finding.ts";
import { CAP } from "../linux/credentials.ts";
import { O } from "../linux/open.ts";
import {
	AF,
	encodeSocketAddress,
	IPPROTO,
	IPV6,
	linger,
	SO,
	SOCK_BUF_LOCK,
	SOL_SOCKET,
	socketAddressText,
} from "../linux/socket.ts";
import { timeval, timevalOf } from "../linux/time.ts";
import { bytesDatum } from "../program/data.ts";
import { type InetSocket, isListening } from "./inet-description.ts";
import { optionsOf } from "./socket-options.ts";
import { addNew, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";

/** The lowest port that anybody may take (net.ipv4.ip_unprivileged_port_start). */
const FIRST_OPEN_PORT = 1024;

/** What a socket's buffers may be without CAP_NET_ADMIN, unless the host was set up otherwise: bytes (net.core.wmem_max). */
const MOST_BUFFER = 212_992 * 2;

/** Makes one that is not connected: options that decide who may share its address, the address, then all others. */
export function openInetSocket(slot: Slot<InetSocket>, fds: FdAllocator): void {
	const socket = slot.content;
	const { number } = slot;
	const { family, type, protocol, source, options, backlog, flags } = socket;
	const fd = BigInt(number);
	const subject = `descriptor ${number}`;
	const set = (level: number, option: number, value: number | Uint8Array, why: string): void => {
		const bytes = typeof value === "number" ? i32Bytes(value) : value;
		const datum = bytesDatum(`option ${option} of ${number}`, bytes);
		fds.add("setsockopt", [fd, BigInt(level), BigInt(option), datum, BigInt(bytes.length)], why);
	};
	const bound = source.port !== 0;
	const lent = socket.unaided === true ? 0n : rightsFor(socket);
	// who stands as the user already has none of these
	if (lent !== 0n) fds.actor.asCaller();
	fds.actor.asUser(lent);
	const what = `${subject}, a socket${bound ? ` of ${socketAddressText(source)}` : ""}`;
	const blocking = flags & O.NONBLOCK;
	addNew(fds, slot, "socket", (closing) => [BigInt(family), BigInt(type | blocking | closing), BigInt(protocol)], what);
	if (family === AF.INET6) set(IPPROTO.IPV6, IPV6.V6ONLY, socket.onlyV6 === true ? 1 : 0, "which addresses it is for");
	const shared = options["reuse address"] ?? 0;
	if (bound) {
		// connections of the dead process may still wait for their end
		set(SOL_SOCKET, SO.REUSEADDR, 1, "also beside its old connections");
		if ((options["reuse port"] ?? 0) !== 0) set(SOL_SOCKET, SO.REUSEPORT, 1, "with others that listen there");
		for (const { name, level, option } of optionsOf(family, protocol))
			if (name.startsWith("free bind") && (options[name] ?? 0) !== 0)
				set(level, option, 1, "whether it is there or not");
		const address = encodeSocketAddress(source);
		const place = bytesDatum(`address of ${number}`, address);
		fds.add("bind", [fd, place, BigInt(address.length)], socketAddressText(source));
		if (isListening(socket)) fds.add("listen", [fd, BigInt(backlog)], `up to ${backlog} connections may wait`);
	}
	if (bound ? shared !== 1 : shared !== 0) set(SOL_SOCKET, SO.REUSEADDR, shared, "as it was");
	if (!bound && (options["reuse port"] ?? 0) !== 0) set(SOL_SOCKET, SO.REUSEPORT, 1, "as it was");
	setBuffers(socket, subject, fds, set);
	for (const { name, level, option, usual } of optionsOf(family, protocol)) {
		const value = options[name];
		if (SET_APART.has(name) || value === undefined || value === usual) continue;
		set(level, option, value, name);
	}
	const { send, receive } = socket.timeouts;
	if (send !== 0n) set(SOL_SOCKET, SO.SNDTIMEO, timeBytes(send), "how long sending may take");
	if (receive !== 0n) set(SOL_SOCKET, SO.RCVTIMEO, timeBytes(receive), "how long it waits to receive");
	if (socket.linger !== undefined)
		set(SOL_SOCKET, SO.LINGER, linger.encode({ l_onoff: 1, l_linger: socket.linger }), "how long closing may take");
	if (socket.device !== undefined)
		set(SOL_SOCKET, SO.BINDTODEVICE, Buffer.from(`${socket.device}\0`, "latin1"), `by ${socket.device} alone`);
	if (socket.filter !== undefined)
		fds.report(loss("attribute", subject, "was a socket with a packet filter (SO_ATTACH_FILTER); it has none now"));
	addStatusFlags(fds, fd, blocking, flags);
	if (lent !== 0n) fds.actor.asCaller();
}

/** Capabilities that it takes, bit n for capability n: its user may have given them up since (socket(7), capabilities(7)). */
function rightsFor({ source, options }: InetSocket): bigint {
	const bind = source.port !== 0 && source.port < FIRST_OPEN_PORT ? 1n << BigInt(CAP.NET_BIND_SERVICE) : 0n;
	const marked = (options.mark ?? 0) !== 0 || (options.priority ?? 0) > MOST_PRIORITY;
	return bind | (marked ? 1n << BigInt(CAP.NET_ADMIN) : 0n);
}

/** Of those that anybody may set. */
const MOST_PRIORITY = 6;

/** Done by steps of their own. */
const SET_APART: ReadonlySet<string> = new Set([
	...["send buffer", "receive buffer", "buffer lock", "reuse address", "reuse port", "free bind", "free bind of IPv6"],
]);

/** Sizes that were asked for; all others are the kernel's, which knows better. It doubles what is set (socket(7)). */
export function setBuffers(
	{ options }: Pick<InetSocket, "options">,
	subject: string,
	fds: FdAllocator,
	set: (level: number, option: number, value: number, why: string) => void,
): void {
	const locked = options["buffer lock"] ?? 0;
	for (const [bit, option, name] of [
		[SOCK_BUF_LOCK.SNDBUF, SO.SNDBUF, "send buffer"],
		[SOCK_BUF_LOCK.RCVBUF, SO.RCVBUF, "receive buffer"],
	] as const) {
		const size = options[name];
		if ((locked & bit) === 0 || size === undefined) continue;
		set(SOL_SOCKET, option, Math.floor(size / 2), `its ${name}`);
		if (size > MOST_BUFFER)
			fds.report(caution("attribute", subject, `had a ${name} of ${size} bytes; the host may give it less`));
	}
}

export const timeBytes = (microseconds: bigint): Uint8Array => timeval.encode(timevalOf(microseconds));
