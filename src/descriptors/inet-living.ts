import { i32 } from "../bytes/layout.ts";
import { loss } from "../finding.ts";
import {
	AF,
	decodeSocketAddress,
	IPPROTO,
	IPV6,
	linger,
	optionInt,
	SO,
	SOL_SOCKET,
	TCP,
	TCP_STATE,
	tcpInfo,
} from "../linux/socket.ts";
import { timeval } from "../linux/time.ts";
import type { Ask, Look, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { nowhere } from "./file.ts";
import { type InetSocket, isListening } from "./inet-description.ts";
import type { Sighting } from "./kind.ts";
import { optionsOf, timeIn } from "./socket-options.ts";

/** What a living socket is, where it is one of the internet: one that is connected cannot be dumped. */
export function seeInetSocket(open: OpenDescriptor, look: Look): Sighting<InetSocket> | undefined {
	if (!open.link.startsWith("socket:[")) return undefined;
	const { family, words, tcpState } = look.socket(open.link);
	if (family !== "inet") return undefined;
	const single = tcpState === TCP_STATE.LISTEN || tcpState === TCP_STATE.CLOSE;
	return single ? { describe: (common, ask) => describe(common, open, ask) } : nowhere(words);
}

/** An option that CRIU's entry has no place for, and what a socket has that nobody set it for. */
interface UnkeptOption {
	readonly name: string;
	readonly option: number;
	/** 0, or what a file of /proc/sys says. */
	readonly usual?: string;
}

const UNKEPT: readonly UnkeptOption[] = [
	{ name: "TCP_DEFER_ACCEPT", option: TCP.DEFER_ACCEPT },
	{ name: "TCP_USER_TIMEOUT", option: TCP.USER_TIMEOUT },
	{ name: "TCP_FASTOPEN", option: TCP.FASTOPEN },
	{ name: "TCP_NOTSENT_LOWAT", option: TCP.NOTSENT_LOWAT },
	{ name: "TCP_WINDOW_CLAMP", option: TCP.WINDOW_CLAMP },
	{ name: "TCP_SYNCNT", option: TCP.SYNCNT, usual: "net/ipv4/tcp_syn_retries" },
	{ name: "TCP_LINGER2", option: TCP.LINGER2, usual: "net/ipv4/tcp_fin_timeout" },
];

/** Bytes of the longest name (TCP_CA_NAME_MAX, include/net/tcp.h). */
const LONGEST_CONGESTION = 16;

async function describe(common: DescriptionCommon, open: OpenDescriptor, ask: Ask): Promise<InetSocket | undefined> {
	const int = (level: number, option: number) => ({ level, option, size: i32.size });
	const own = [SO.DOMAIN, SO.TYPE, SO.PROTOCOL].map((option) => int(SOL_SOCKET, option));
	const [family = 0, type = 0, protocol = 0] = (await ask.socketOptions(open, own)).map(optionInt);
	const named = optionsOf(family, protocol);
	const [info, sending, receiving, lingers, device, v6, ...rest] = await ask.socketOptions(open, [
		{ level: IPPROTO.TCP, option: TCP.INFO, size: tcpInfo.size },
		{ level: SOL_SOCKET, option: SO.SNDTIMEO, size: timeval.size },
		{ level: SOL_SOCKET, option: SO.RCVTIMEO, size: timeval.size },
		{ level: SOL_SOCKET, option: SO.LINGER, size: linger.size },
		{ level: SOL_SOCKET, option: SO.BINDTODEVICE, size: IFNAMSIZ },
		int(IPPROTO.IPV6, IPV6.V6ONLY),
		...named.map(({ level, option }) => int(level, option)),
		...UNKEPT.map(({ option }) => int(IPPROTO.TCP, option)),
		{ level: IPPROTO.TCP, option: TCP.CONGESTION, size: LONGEST_CONGESTION },
	]);
	const bytes = await ask.socketName(open);
	const source = bytes && decodeSocketAddress(bytes);
	if (info === undefined || source === undefined) return undefined;
	const { tcpi_state: state, tcpi_unacked: waiting, tcpi_sacked: backlog } = tcpInfo.decode(info);
	const subject = `descriptor ${open.number}`;
	const unkept = (name: string): void =>
		ask.report(loss("attribute", subject, `is a socket with ${name}, which is not kept`));
	for (const [i, { name, usual }] of UNKEPT.entries()) {
		const value = optionInt(rest[named.length + i]);
		const expected = usual === undefined ? 0 : Number(ask.sysctl(usual) ?? value);
		if (value !== undefined && value !== expected) unkept(name);
	}
	const congestion = nameIn(rest.at(-1));
	if (congestion !== undefined && congestion !== (ask.sysctl("net/ipv4/tcp_congestion_control") ?? congestion))
		unkept(`TCP_CONGESTION ${congestion}`);
	if (await ask.isFiltered(open))
		ask.report(loss("attribute", subject, "is a socket with a packet filter (SO_ATTACH_FILTER), which is not kept"));
	if (isListening({ state }) && waiting > 0)
		ask.report(loss("queued-data", subject, `has ${waiting} connections that nobody accepted yet; they are closed`));
	const interfaceName = nameIn(device);
	const lingering = lingers === undefined ? undefined : linger.decode(lingers);
	return {
		kind: "inet-socket",
		...common,
		...{ inode: Number(open.stat.ino), family, type, protocol, state, source },
		target: { port: 0, address: new Uint8Array(source.address.length) },
		backlog: isListening({ state }) ? backlog : 0,
		options: Object.fromEntries(
			named.flatMap(({ name }, i) => {
				const value = optionInt(rest[i]);
				return value === undefined ? [] : [[name, value]];
			}),
		),
		timeouts: { send: timeIn(sending), receive: timeIn(receiving) },
		...(family === AF.INET6 ? { onlyV6: (optionInt(v6) ?? 0) !== 0 } : {}),
		...(lingering === undefined || lingering.l_onoff === 0 ? {} : { linger: lingering.l_linger }),
		...(interfaceName === undefined || interfaceName === "" ? {} : { device: interfaceName }),
	};
}

/** Bytes of an interface's name (include/uapi/linux/if.h). */
const IFNAMSIZ = 16;

/** Up to the first NUL. */
const nameIn = (bytes: Buffer | undefined): string | undefined => bytes?.toString("latin1").replace(/\0.*$/s, "");
