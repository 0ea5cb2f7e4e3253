import { AF_UNIX } from "../linux/io.ts";
import { MSG } from "../linux/msghdr.ts";
import { O } from "../linux/open.ts";
import {
	AF,
	decodeSocketAddress,
	IP,
	IPPROTO,
	IPV6,
	MOST_SOCKADDR,
	SO,
	SOCK,
	SOL_SOCKET,
	socketAddressText,
	TCP,
} from "../linux/socket.ts";
import { decodeUnixAddress, unixNameText } from "../linux/unix.ts";
import { AF_NETLINK } from "../linux/unix-diag.ts";
import { type Remedy, remedy, type SystemCallRows } from "./call-row.ts";
import {
	buffer,
	bytesAt,
	count,
	descriptor,
	flags,
	hexadecimal,
	int,
	known,
	literalOf,
	oneOf,
	pointer,
	pointerTo,
	type Spell,
} from "./kinds.ts";

const family = oneOf({ AF_UNIX, AF_NETLINK, AF_INET: AF.INET, AF_INET6: AF.INET6 });
const protocol = oneOf({ IPPROTO_IP: IPPROTO.IP, IPPROTO_TCP: IPPROTO.TCP, IPPROTO_UDP: IPPROTO.UDP });

/** `SOCK_STREAM|SOCK_CLOEXEC`: a number, and flags that are those of open(2). */
const type = known((value) => {
	const flags = [
		...((value & BigInt(O.NONBLOCK)) === 0n ? [] : ["SOCK_NONBLOCK"]),
		...((value & BigInt(O.CLOEXEC)) === 0n ? [] : ["SOCK_CLOEXEC"]),
	];
	const kind = oneOf(SOCK, "SOCK_")(value & 0xfn, []);
	return [kind, ...flags].join("|");
});

const address: Spell = pointerTo((place) => {
	const name = decodeUnixAddress(place.datum.bytes.subarray(place.offset ?? 0));
	if (name !== undefined) return JSON.stringify(unixNameText(name));
	const told = decodeSocketAddress(bytesAt(place, MOST_SOCKADDR));
	return told === undefined ? "[address]" : socketAddressText(told);
});

const level = oneOf({ SOL_SOCKET, IPPROTO_IP: IPPROTO.IP, IPPROTO_TCP: IPPROTO.TCP, IPPROTO_IPV6: IPPROTO.IPV6 });

/** What the options of a level are called. */
const options: ReadonlyMap<bigint, Spell> = new Map([
	[BigInt(SOL_SOCKET), oneOf(SO, "SO_")],
	[BigInt(IPPROTO.IP), oneOf(IP, "IP_")],
	[BigInt(IPPROTO.TCP), oneOf(TCP, "TCP_")],
	[BigInt(IPPROTO.IPV6), oneOf(IPV6, "IPV6_")],
]);
const option: Spell = (arg, args) => (options.get(literalOf(args[1]) ?? -1n) ?? int)(arg, args);

/** `[1]`: an int; longer ones are structures of some kind. */
const optionValue: Spell = (arg, args) =>
	literalOf(args[4]) === 4n
		? pointerTo((place) => `[${new DataView(bytesAt(place, 4).buffer).getInt32(0, true)}]`)(arg, args)
		: pointer(arg, args);

const acceptFlags = flags({ SOCK_NONBLOCK: O.NONBLOCK, SOCK_CLOEXEC: O.CLOEXEC });
const messageFlags = flags(MSG, "MSG_");

const isUnix: Remedy["when"] = ({ args }) => {
	const at = args[1];
	return typeof at === "object" && "datum" in at && decodeUnixAddress(at.datum.bytes) !== undefined;
};

export const socketCalls = {
	accept4: { args: [descriptor, pointer, pointer, acceptFlags] },
	bind: {
		args: [descriptor, address, count],
		remedies: [
			remedy("EADDRINUSE", "end whoever has that name, or move the file away that has it", isUnix),
			remedy("EACCES", "run as a user who may make files in that directory", isUnix),
			remedy("EADDRINUSE", "end whoever has that port"),
			remedy("EADDRNOTAVAIL", "give the host that address"),
			remedy("EACCES", "run as a user who may take that port (CAP_NET_BIND_SERVICE)"),
		],
	},
	connect: {
		args: [descriptor, address, count],
		remedies: [
			remedy("EPROTOTYPE", "end whoever has that name", isUnix),
			remedy("EACCES", "run as a user who may connect to that socket", isUnix),
			remedy("EAGAIN", "keep others from connecting meanwhile", isUnix),
		],
	},
	getsockname: { args: [descriptor, pointer, pointer] },
	getsockopt: { args: [descriptor, level, option, pointer, pointer] },
	listen: { args: [descriptor, int], remedies: [remedy("EADDRINUSE", "end whoever listens on that port")] },
	recvfrom: { args: [descriptor, pointer, count, messageFlags, pointer, pointer] },
	recvmsg: { args: [descriptor, pointer, messageFlags] },
	sendmsg: { args: [descriptor, pointer, messageFlags] },
	sendto: { args: [descriptor, buffer(2), count, messageFlags, pointer, count] },
	setsockopt: {
		args: [descriptor, level, option, optionValue, count],
		remedies: [remedy("EPERM", "run with CAP_NET_ADMIN"), remedy("ENODEV", "make the interface again")],
	},
	shutdown: { args: [descriptor, oneOf({ SHUT_RD: 0, SHUT_WR: 1, SHUT_RDWR: 2 })] },
	socket: { args: [family, type, protocol], remedies: [remedy("EAFNOSUPPORT", "switch the protocol on (IPv6)")] },
	socketpair: { args: [family, type, protocol, hexadecimal] },
} as const satisfies SystemCallRows;
