import type { Agent } from "../agent/agent.ts";
import { i32, viewOf } from "../bytes/layout.ts";
import type { OpenDescriptor, SocketSight } from "../descriptors/ask.ts";
import { AF, IPPROTO, SO, SOL_SOCKET, TCP, TCP_STATE, TRAFFIC_AT, tcpInfo, tcpTraffic } from "../linux/socket.ts";
import { socketOf } from "../proc/sockets.ts";
import { copyDescriptorsOf } from "../trace/descriptors.ts";

/**
 * What each socket of a process is, by its link. Those that no table of /proc/PID/net has are asked themselves: those of TCP that were
 * never bound or do not listen, and of families that have no table; and those that only the table of unix sockets has.
 *
 * @throws NecromancerError ERR_HOST
 */
export async function socketSights(
	agent: Agent,
	pid: number,
	open: readonly OpenDescriptor[],
): Promise<ReadonlyMap<string, SocketSight>> {
	const sockets = new Map(open.filter(({ link }) => link.startsWith("socket:")).map((one) => [one.link, one.number]));
	const found = new Map([...sockets.keys()].map((link): [string, SocketSight] => [link, socketOf(pid, link)]));
	// the rows of unix sockets are not the kernel's word alone (see socketOf)
	const unlisted = [...sockets].filter(([link]) => [undefined, "unix"].includes(found.get(link)?.family));
	if (unlisted.length === 0) return found;
	const copies = await copyDescriptorsOf(agent, pid);
	try {
		for (const [link, number] of unlisted) {
			const [domain, protocol, info] = await copies.socketOptions(number, [
				...[SO.DOMAIN, SO.PROTOCOL].map((option) => ({ level: SOL_SOCKET, option, size: i32.size })),
				{ level: IPPROTO.TCP, option: TCP.INFO, size: TRAFFIC_AT + tcpTraffic.size },
			]);
			const sight = sightOf(intIn(domain), intIn(protocol), info);
			if (sight !== undefined) found.set(link, sight);
		}
	} finally {
		await copies.close();
	}
	return found;
}

function sightOf(domain: number, protocol: number, info: Buffer | undefined): SocketSight | undefined {
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

const intIn = (bytes: Buffer | undefined): number => (bytes?.length === i32.size ? i32.read(viewOf(bytes), 0) : -1);
