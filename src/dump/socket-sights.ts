import { i32 } from "../bytes/layout.ts";
import type { SocketSight } from "../descriptors/ask.ts";
import {
	AF,
	IPPROTO,
	optionInt,
	SO,
	SOL_SOCKET,
	TCP,
	TCP_STATE,
	TRAFFIC_AT,
	tcpInfo,
	tcpTraffic,
} from "../linux/socket.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readNamespace } from "../proc/namespaces.ts";
import { type ListedSocket, listedSockets } from "../proc/sockets.ts";
import type { DescriptorCopies } from "../trace/descriptors.ts";
import type { OpenOf } from "./open-files.ts";

/** What /proc/PID/net lists of a process's network namespace, by links of sockets. */
export type SocketLists = (pid: number) => ReadonlyMap<string, ListedSocket>;

/** Each namespace is read once, when it is asked for first: what processes have open is to be read before. */
export function socketLists(): SocketLists {
	const read = new Map<string, ReadonlyMap<string, ListedSocket>>();
	return (pid) => {
		const namespace = ifShown(() => readNamespace(pid, "net"));
		const known = namespace === undefined ? undefined : read.get(namespace);
		if (known !== undefined) return known;
		const listed = listedSockets(pid);
		if (namespace !== undefined) read.set(namespace, listed);
		return listed;
	};
}

/**
 * What each socket of a process is, by its link. Those that no table of /proc/PID/net has are asked themselves: those of TCP that were
 * never bound or do not listen, and of families that have no table; and those that only the table of unix sockets has.
 *
 * @throws NecromancerError ERR_HOST
 */
export async function socketSights(
	{ pid, open }: OpenOf,
	copies: DescriptorCopies,
	listed: SocketLists,
): Promise<ReadonlyMap<string, SocketSight>> {
	const sockets = new Map(open.filter(({ link }) => link.startsWith("socket:")).map((one) => [one.link, one.number]));
	if (sockets.size === 0) return new Map();
	const found = new Map<string, SocketSight>(listed(pid));
	// the rows of unix sockets are not the kernel's word alone (see listedSockets)
	const unlisted = [...sockets].filter(([link]) => [undefined, "unix"].includes(found.get(link)?.family));
	const numbers = unlisted.map(([, number]) => number);
	const answers = await copies.socketOptions(numbers, [
		...[SO.DOMAIN, SO.PROTOCOL].map((option) => ({ level: SOL_SOCKET, option, size: i32.size })),
		{ level: IPPROTO.TCP, option: TCP.INFO, size: TRAFFIC_AT + tcpTraffic.size },
	]);
	for (const [i, [domain, protocol, info]] of answers.entries()) {
		const sight = sightOf(optionInt(domain), optionInt(protocol), info);
		const [link] = unlisted[i] ?? [];
		if (link !== undefined && sight !== undefined) found.set(link, sight);
	}
	return found;
}

function sightOf(domain?: number, protocol?: number, info?: Buffer): SocketSight | undefined {
	if (domain !== AF.INET && domain !== AF.INET6) return undefined;
	if (protocol !== IPPROTO.TCP || info === undefined)
		return {
			family: "inet",
			words: protocol === IPPROTO.UDP ? "a UDP socket" : "an internet socket that is not of TCP",
		};
	const state = tcpInfo.decode(info).tcpi_state;
	// a connection that has come to its end is in the state of a new socket, and reads otherwise
	if (state === TCP_STATE.CLOSE && wasConnected(info))
		return { family: "inet", words: "a TCP connection that is closed" };
	return { family: "inet", words: "a TCP socket", tcpState: state };
}

/** Linux 4.2 and newer tell. */
function wasConnected(info: Buffer): boolean {
	if (info.length < TRAFFIC_AT + tcpTraffic.size) return false;
	const { tcpi_segs_out, tcpi_segs_in } = tcpTraffic.decode(info.subarray(TRAFFIC_AT));
	return tcpi_segs_out > 0 || tcpi_segs_in > 0;
}
