import { IPPROTO, SOCK, type SocketAddress, socketAddressText, TCP_STATE } from "../linux/socket.ts";
import type { DescriptionCommon } from "./description.ts";
import type { SocketOptions } from "./socket-options.ts";

/** A socket of IPv4 or IPv6. TCP sockets that are not connected can be dumped and made. */
export interface InetSocket extends DescriptionCommon {
	readonly kind: "inet-socket";
	/** The kernel's number of the socket. */
	readonly inode: number;
	/** AF_ number. */
	readonly family: number;
	/** SOCK_ number. */
	readonly type: number;
	/** IPPROTO_ number. */
	readonly protocol: number;
	/** {@link TCP_STATE} */
	readonly state: number;
	/** Its own address; port 0 where it was never bound. */
	readonly source: SocketAddress;
	/** Whom it is connected to; port 0 for nobody. */
	readonly target: SocketAddress;
	/** How many connections may wait. */
	readonly backlog: number;
	/** IPV6_V6ONLY. */
	readonly onlyV6?: boolean;
	readonly options: SocketOptions;
	/** Microseconds; 0 for none. */
	readonly timeouts: { readonly send: bigint; readonly receive: bigint };
	/** Seconds (SO_LINGER); absent where it does not linger. */
	readonly linger?: number;
	/** Name of an interface. */
	readonly device?: string;
	/** Instructions of classic BPF, 8 bytes each. */
	readonly filter?: readonly bigint[];
	/** Sides that were shut down: 1 for reading, 2 for writing. */
	readonly shutdown?: number;
	/** CRIU's id of its network namespace. */
	readonly namespace?: number;
	/** Its user takes no port that needs CAP_NET_BIND_SERVICE but by his own rights. */
	readonly unaided?: true;
}

export const isListening = ({ state }: Pick<InetSocket, "state">): boolean => state === TCP_STATE.LISTEN;

/** What it is, in words, where this version cannot open it again. */
export function unopenable({ type, protocol, state, source, target, shutdown = 0 }: InetSocket): string | undefined {
	if (protocol !== IPPROTO.TCP || type !== SOCK.STREAM)
		return protocol === IPPROTO.UDP && type === SOCK.DGRAM ? "a UDP socket" : "an internet socket that is not of TCP";
	if (state === TCP_STATE.LISTEN && source.port !== 0) return undefined;
	if (state === TCP_STATE.CLOSE && target.port === 0 && shutdown === 0) return undefined;
	return target.port === 0 ? "a TCP connection that is closed" : `a TCP connection to ${socketAddressText(target)}`;
}
