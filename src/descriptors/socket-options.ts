import type { IpOptsEntry, SkOptsEntry, TcpOptsEntry } from "../criu/wire/generated/schema.ts";
import { AF_UNIX } from "../linux/io.ts";
import { AF, IP, IPPROTO, IPV6, SO, SOL_SOCKET, TCP } from "../linux/socket.ts";
import { microsecondsOf, timeval } from "../linux/time.ts";

/** One option that is an int, and where CRIU's entries have it. */
interface OptionRow {
	/** Level and number of getsockopt(2). */
	readonly level: number;
	readonly option: number;
	/** Of sockets of one family only. */
	readonly family?: number;
	readonly field:
		| readonly ["opts", keyof SkOptsEntry & string]
		| readonly ["tcp_opts", keyof TcpOptsEntry & string]
		| readonly ["ip_opts", keyof IpOptsEntry & string];
	/** The field is a bool. */
	readonly flag?: true;
	/** What a new socket has: it is not set again. */
	readonly usual?: number;
}

/** The ints that CRIU keeps of a socket. Sizes of buffers, addresses and what lets them be shared are set apart. */
const rows = {
	"send buffer": { level: SOL_SOCKET, option: SO.SNDBUF, field: ["opts", "so_sndbuf"] },
	"receive buffer": { level: SOL_SOCKET, option: SO.RCVBUF, field: ["opts", "so_rcvbuf"] },
	"buffer lock": { level: SOL_SOCKET, option: SO.BUF_LOCK, field: ["opts", "so_buf_lock"], usual: 0 },
	"reuse address": { level: SOL_SOCKET, option: SO.REUSEADDR, field: ["opts", "reuseaddr"], flag: true, usual: 0 },
	"reuse port": { level: SOL_SOCKET, option: SO.REUSEPORT, field: ["opts", "so_reuseport"], flag: true, usual: 0 },
	"receive low water": { level: SOL_SOCKET, option: SO.RCVLOWAT, field: ["opts", "so_rcvlowat"], usual: 1 },
	mark: { level: SOL_SOCKET, option: SO.MARK, field: ["opts", "so_mark"], usual: 0 },
	"do not route": { level: SOL_SOCKET, option: SO.DONTROUTE, field: ["opts", "so_dontroute"], flag: true, usual: 0 },
	"no checksum": { level: SOL_SOCKET, option: SO.NO_CHECK, field: ["opts", "so_no_check"], flag: true, usual: 0 },
	broadcast: { level: SOL_SOCKET, option: SO.BROADCAST, field: ["opts", "so_broadcast"], flag: true, usual: 0 },
	"keep alive": { level: SOL_SOCKET, option: SO.KEEPALIVE, field: ["opts", "so_keepalive"], flag: true, usual: 0 },
	"out of band inline": { level: SOL_SOCKET, option: SO.OOBINLINE, field: ["opts", "so_oobinline"], usual: 0 },
	"no delay": { level: IPPROTO.TCP, option: TCP.NODELAY, field: ["tcp_opts", "nodelay"], flag: true, usual: 0 },
	cork: { level: IPPROTO.TCP, option: TCP.CORK, field: ["tcp_opts", "cork"], flag: true, usual: 0 },
	"keep alive count": { level: IPPROTO.TCP, option: TCP.KEEPCNT, field: ["tcp_opts", "keepcnt"] },
	"keep alive idle": { level: IPPROTO.TCP, option: TCP.KEEPIDLE, field: ["tcp_opts", "keepidle"] },
	"keep alive interval": { level: IPPROTO.TCP, option: TCP.KEEPINTVL, field: ["tcp_opts", "keepintvl"] },
	"free bind": {
		...{ level: IPPROTO.IP, option: IP.FREEBIND, family: AF.INET },
		...{ field: ["ip_opts", "freebind"], flag: true, usual: 0 },
	},
	"packet info": {
		...{ level: IPPROTO.IP, option: IP.PKTINFO, family: AF.INET },
		...{ field: ["ip_opts", "pktinfo"], flag: true, usual: 0 },
	},
	"type of service": {
		...{ level: IPPROTO.IP, option: IP.TOS, family: AF.INET },
		...{ field: ["ip_opts", "tos"], usual: 0 },
	},
	"time to live": {
		...{ level: IPPROTO.IP, option: IP.TTL, family: AF.INET },
		...{ field: ["ip_opts", "ttl"], usual: 64 },
	},
	"free bind of IPv6": {
		...{ level: IPPROTO.IPV6, option: IPV6.FREEBIND, family: AF.INET6 },
		...{ field: ["ip_opts", "freebind"], flag: true, usual: 0 },
	},
	"packet info of IPv6": {
		...{ level: IPPROTO.IPV6, option: IPV6.RECVPKTINFO, family: AF.INET6 },
		...{ field: ["ip_opts", "pktinfo"], flag: true, usual: 0 },
	},
	// a socket that nobody named gets a name with its first message once these are set
	"pass credentials": {
		...{ level: SOL_SOCKET, option: SO.PASSCRED, family: AF_UNIX },
		...{ field: ["opts", "so_passcred"], flag: true, usual: 0 },
	},
	"pass security": {
		...{ level: SOL_SOCKET, option: SO.PASSSEC, family: AF_UNIX },
		...{ field: ["opts", "so_passsec"], flag: true, usual: 0 },
	},
	// behind the type of service, which sets it
	priority: { level: SOL_SOCKET, option: SO.PRIORITY, field: ["opts", "so_priority"], usual: 0 },
} as const satisfies Readonly<Record<string, OptionRow>>;

export type SocketOption = keyof typeof rows;

/** Those that are known of a socket. */
export type SocketOptions = Readonly<Partial<Record<SocketOption, number>>>;

/** All that a socket of that family and protocol has. */
export const optionsOf = (family: number, protocol: number): readonly (OptionRow & { readonly name: SocketOption })[] =>
	(Object.entries(rows) as [SocketOption, OptionRow][]).flatMap(([name, row]) =>
		(row.family ?? family) === family && (row.level !== IPPROTO.TCP || protocol === IPPROTO.TCP)
			? [{ name, ...row }]
			: [],
	);

/** What CRIU's entry of a socket has them in. */
export interface OptionEntries {
	readonly opts: Partial<SkOptsEntry>;
	readonly tcp_opts?: TcpOptsEntry;
	readonly ip_opts?: IpOptsEntry;
}

type Fields = Readonly<Record<string, unknown>>;

export function optionsIn(entries: OptionEntries, family: number, protocol: number): SocketOptions {
	const found: Partial<Record<SocketOption, number>> = {};
	for (const { name, field } of optionsOf(family, protocol)) {
		const value = (entries[field[0]] as Fields | undefined)?.[field[1]];
		if (value !== undefined) found[name] = Number(value);
	}
	return found;
}

/** The same as fields. CRIU writes what belongs to the internet protocol only where it is not 0. */
export function entriesOf(options: SocketOptions, family: number, protocol: number): Required<OptionEntries> {
	const parts = { opts: {}, tcp_opts: {}, ip_opts: {} } as Record<
		"opts" | "tcp_opts" | "ip_opts",
		Record<string, unknown>
	>;
	for (const { name, field, flag, usual } of optionsOf(family, protocol)) {
		const value = options[name];
		const unsaid = field[0] === "ip_opts" || name === "mark" ? usual : undefined;
		if (value !== undefined && value !== unsaid) parts[field[0]][field[1]] = flag === true ? value !== 0 : value;
	}
	return parts;
}

/** Microseconds of a `struct timeval`; 0 for none. */
export function timeIn(bytes: Uint8Array | undefined): bigint {
	if (bytes === undefined || bytes.length < timeval.size) return 0n;
	return microsecondsOf(timeval.decode(bytes));
}
