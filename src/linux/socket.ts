import { i32, layout, u8, u32, viewOf } from "../bytes/layout.ts";

/** Address families of the internet (include/linux/socket.h). */
export const AF = { INET: 2, INET6: 10 } as const;

/** Types (include/linux/net.h); their flags are O_NONBLOCK and O_CLOEXEC. */
export const SOCK = { STREAM: 1, DGRAM: 2, RAW: 3, SEQPACKET: 5 } as const;

/** include/uapi/linux/in.h */
export const IPPROTO = { IP: 0, TCP: 6, UDP: 17, IPV6: 41 } as const;

/** Level of setsockopt(2) for all sockets. */
export const SOL_SOCKET = 1;

/** Options of all sockets (include/uapi/asm-generic/socket.h). */
export const SO = {
	...{ REUSEADDR: 2, TYPE: 3, DONTROUTE: 5, BROADCAST: 6, SNDBUF: 7, RCVBUF: 8, KEEPALIVE: 9, OOBINLINE: 10 },
	...{
		NO_CHECK: 11,
		PRIORITY: 12,
		LINGER: 13,
		REUSEPORT: 15,
		PASSCRED: 16,
		PEERCRED: 17,
		RCVLOWAT: 18,
		RCVTIMEO: 20,
		SNDTIMEO: 21,
	},
	...{
		BINDTODEVICE: 25,
		ATTACH_FILTER: 26,
		SNDBUFFORCE: 32,
		RCVBUFFORCE: 33,
		PASSSEC: 34,
		MARK: 36,
		PROTOCOL: 38,
		DOMAIN: 39,
	},
	...{ PEEK_OFF: 42, BUF_LOCK: 72 },
} as const;

/** Which sizes of {@link SO.BUF_LOCK} were asked for, and are not the kernel's to change. */
export const SOCK_BUF_LOCK = { SNDBUF: 1, RCVBUF: 2 } as const;

/** Options of TCP sockets (include/uapi/linux/tcp.h). */
export const TCP = {
	...{ NODELAY: 1, CORK: 3, KEEPIDLE: 4, KEEPINTVL: 5, KEEPCNT: 6, SYNCNT: 7, LINGER2: 8, DEFER_ACCEPT: 9 },
	...{ WINDOW_CLAMP: 10, INFO: 11, QUICKACK: 12, CONGESTION: 13, USER_TIMEOUT: 18, FASTOPEN: 23, NOTSENT_LOWAT: 25 },
} as const;

/** include/uapi/linux/in.h, in6.h */
export const IP = { TOS: 1, TTL: 2, PKTINFO: 8, FREEBIND: 15 } as const;
export const IPV6 = { V6ONLY: 26, RECVPKTINFO: 49, FREEBIND: 78 } as const;

/** What TCP_INFO calls the states of a connection (include/net/tcp_states.h). */
export const TCP_STATE = { ESTABLISHED: 1, CLOSE: 7, LISTEN: 10 } as const;

/** The beginning of `struct tcp_info` (include/uapi/linux/tcp.h). */
export const tcpInfo = layout("tcp_info", {
	...{ tcpi_state: u8, tcpi_ca_state: u8, tcpi_retransmits: u8, tcpi_probes: u8, tcpi_backoff: u8, tcpi_options: u8 },
	...{ tcpi_wscale: u8, tcpi_flags: u8, tcpi_rto: u32, tcpi_ato: u32, tcpi_snd_mss: u32, tcpi_rcv_mss: u32 },
	/** Of a listener: connections that wait to be accepted. */
	tcpi_unacked: u32,
	/** Of a listener: how many may. */
	tcpi_sacked: u32,
});

/** What `struct tcp_info` says of the traffic, from {@link TRAFFIC_AT} on: segments sent and received, 0 of a socket that never was connected. */
export const tcpTraffic = layout("traffic of tcp_info", { tcpi_segs_out: u32, tcpi_segs_in: u32 });
export const TRAFFIC_AT = 136;

/** The value of an option that is an int; `undefined` for one that a socket has not. */
export const optionInt = (value: Uint8Array | undefined): number | undefined =>
	value === undefined || value.length < i32.size ? undefined : i32.read(viewOf(value), 0);

/** `struct ucred`, what SO_PEERCRED tells (include/linux/socket.h): 0 and all ones of a socket that never had a peer. */
export const ucred = layout("ucred", { pid: i32, uid: u32, gid: u32 });

/** `struct linger` (include/linux/socket.h). */
export const linger = layout("linger", { l_onoff: i32, l_linger: i32 });

/** An address of the internet: a port, and 4 or 16 bytes in network order. */
export interface SocketAddress {
	readonly port: number;
	readonly address: Uint8Array;
	/** The interface of a link-local IPv6 address. */
	readonly scope?: number;
}

/** Bytes of `struct sockaddr_in` and `struct sockaddr_in6`. */
const SIZES = { [AF.INET]: 16, [AF.INET6]: 28 } as const;

/** The most that getsockname(2) is given room for. */
export const MOST_SOCKADDR = SIZES[AF.INET6];

/** `struct sockaddr_in` (include/uapi/linux/in.h) for 4 bytes, `struct sockaddr_in6` (in6.h) for 16. */
export function encodeSocketAddress({ port, address, scope = 0 }: SocketAddress): Uint8Array {
	const family = address.length === 4 ? AF.INET : AF.INET6;
	const bytes = new Uint8Array(SIZES[family]);
	const view = viewOf(bytes);
	view.setUint16(0, family, true);
	view.setUint16(2, port);
	bytes.set(address, family === AF.INET ? 4 : 8);
	if (family === AF.INET6) view.setUint32(24, scope, true);
	return bytes;
}

/** `undefined` for what is of another family, or cut short. */
export function decodeSocketAddress(bytes: Uint8Array): SocketAddress | undefined {
	const view = viewOf(bytes);
	const family = bytes.length < 2 ? 0 : view.getUint16(0, true);
	if (family === AF.INET && bytes.length >= SIZES[AF.INET])
		return { port: view.getUint16(2), address: Uint8Array.from(bytes.subarray(4, 8)) };
	if (family !== AF.INET6 || bytes.length < SIZES[AF.INET6]) return undefined;
	const scope = view.getUint32(24, true);
	return {
		port: view.getUint16(2),
		address: Uint8Array.from(bytes.subarray(8, 24)),
		...(scope === 0 ? {} : { scope }),
	};
}

/** `127.0.0.1:80`, `[::1]:80`: as programs say it, IPv6 without its longest run of zeros. */
export function socketAddressText({ port, address, scope }: SocketAddress): string {
	if (address.length === 4) return `${address.join(".")}:${port}`;
	const view = viewOf(address);
	const groups = Array.from({ length: address.length / 2 }, (_, i) => view.getUint16(i * 2).toString(16));
	const [from, to] = longestZeros(groups);
	const short = to - from < 2 ? groups.join(":") : `${groups.slice(0, from).join(":")}::${groups.slice(to).join(":")}`;
	return `[${short}${scope === undefined ? "" : `%${scope}`}]:${port}`;
}

/** Where the longest run of zeros begins, and the index behind it. */
function longestZeros(groups: readonly string[]): readonly [from: number, to: number] {
	let found: readonly [number, number] = [0, 0];
	for (let from = 0; from < groups.length; from++) {
		let to = from;
		while (groups[to] === "0") to++;
		if (to - from > found[1] - found[0]) found = [from, to];
	}
	return found;
}
