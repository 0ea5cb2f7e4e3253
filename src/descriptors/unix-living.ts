import { defined } from "../bytes/defined.ts";
import { i32 } from "../bytes/layout.ts";
import { caution, loss } from "../finding.ts";
import { AF_UNIX } from "../linux/io.ts";
import { linger, optionInt, SO, SOCK, SOL_SOCKET, ucred } from "../linux/socket.ts";
import { timeval } from "../linux/time.ts";
import { isAbstract, isRelative, unixNameText } from "../linux/unix.ts";
import type { UnixDiag } from "../linux/unix-diag.ts";
import type { Ask, Look, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { nowhere } from "./file.ts";
import type { Sighting } from "./kind.ts";
import { optionsOf, timeIn } from "./socket-options.ts";
import { isDatagram, isEnd, isListening, type UnixSocket } from "./unix-description.ts";

/** Both sides. */
const BOTH = 3;

/** What a living socket is, where it is a unix socket: one that is connected to a process that is not dumped too cannot be. */
export function seeUnixSocket(open: OpenDescriptor, look: Look): Sighting<UnixSocket> | undefined {
	if (!open.link.startsWith("socket:[")) return undefined;
	const diag = look.unix.of(open.link);
	if (diag === undefined)
		return look.socket(open.link).family === "unix"
			? nowhere("a unix socket of which the kernel does not tell (CONFIG_UNIX_DIAG)")
			: undefined;
	const stranger = strangerOf(diag, look);
	if (stranger !== undefined) return nowhere(`${wordsOf(diag)} that ${stranger}`);
	return { describe: (common, ask) => describe(common, open, diag, ask) };
}

const wordsOf = ({ name }: UnixDiag): string =>
	name === undefined ? "a unix socket" : `a unix socket (${unixNameText(name)})`;

/** What somebody who is not dumped has to do with it. */
function strangerOf(diag: UnixDiag, { unix }: Look): string | undefined {
	const { inode, peer, shutdown, room } = diag;
	if (peer === undefined) return undefined;
	// what it has sent is nowhere to be read until it is accepted
	if (unix.listenerOf(inode) !== undefined && room > 0) return "has sent something to whom has not accepted it yet";
	if (peer !== 0) return unix.has(peer) ? undefined : "is connected to a process which is not dumped";
	// one whose peer is gone is shut down both ways
	if (!isEnd(diag) || shutdown === BOTH || unix.listenerOf(inode) !== undefined) return undefined;
	return "waits to be accepted by a process which is not dumped";
}

async function describe(
	common: DescriptionCommon,
	open: OpenDescriptor,
	diag: UnixDiag,
	ask: Ask,
): Promise<UnixSocket | undefined> {
	const { inode, type, state, name, shutdown } = diag;
	const named = optionsOf(AF_UNIX, 0);
	const [sending, receiving, lingers, peekOffset, credentials, ...rest] = await ask.socketOptions(open, [
		{ level: SOL_SOCKET, option: SO.SNDTIMEO, size: timeval.size },
		{ level: SOL_SOCKET, option: SO.RCVTIMEO, size: timeval.size },
		{ level: SOL_SOCKET, option: SO.LINGER, size: linger.size },
		{ level: SOL_SOCKET, option: SO.PEEK_OFF, size: i32.size },
		{ level: SOL_SOCKET, option: SO.PEERCRED, size: ucred.size },
		...named.map(({ level, option }) => ({ level, option, size: i32.size })),
	]);
	const subject = `descriptor ${open.number}`;
	const unkept = (what: string): void =>
		ask.report(loss("attribute", subject, `is a socket with ${what}, which is not kept`));
	if ((optionInt(peekOffset) ?? -1) >= 0) unkept("SO_PEEK_OFF");
	if (lingers !== undefined && linger.decode(lingers).l_onoff !== 0) unkept("SO_LINGER");
	const by = credentials === undefined ? undefined : ucred.decode(credentials);
	if (by !== undefined && by.pid > 0 && !ask.unix.isDumped(by.pid)) {
		const was = `process ${by.pid}, user ${by.uid}:${by.gid}`;
		ask.report(
			caution(
				"attribute",
				subject,
				`tells of ${was} (SO_PEERCRED), which is not dumped; it will tell of whoever makes it`,
			),
		);
	}
	if (await ask.isFiltered(open)) unkept("a packet filter (SO_ATTACH_FILTER)");
	if (isListening(diag)) reportStrangers(diag, subject, ask);
	const file = name === undefined || isAbstract(name) ? undefined : await ask.socketFile(open, diag);
	const listener = ask.unix.listenerOf(inode);
	const peer = listener ?? (diag.peer === 0 ? undefined : diag.peer);
	// packets may have no bytes, and datagrams none at the front
	const waits = isDatagram(diag) || (type === SOCK.SEQPACKET ? isEnd(diag) : !isListening(diag) && diag.queued > 0);
	return {
		kind: "unix-socket",
		...common,
		...{ inode, type, state, shutdown },
		backlog: isListening(diag) ? diag.room : 0,
		...defined({ peer, name, file: file?.looks }),
		...(name !== undefined && isRelative(name) ? defined({ directory: file?.directory }) : {}),
		...(file?.deleted === true ? { deleted: true } : {}),
		options: Object.fromEntries(
			named.flatMap(({ name }, i) => {
				const value = optionInt(rest[i]);
				return value === undefined ? [] : [[name, value]];
			}),
		),
		timeouts: { send: timeIn(sending), receive: timeIn(receiving) },
		group: ask.unix.groupOf(inode),
		queue: waits ? await ask.messages(open, diag) : [],
	};
}

function reportStrangers({ waiting }: UnixDiag, subject: string, { unix, report }: Ask): void {
	const strangers = waiting.filter((client) => !unix.has(client)).length;
	if (strangers > 0)
		report(loss("queued-data", subject, `has ${strangers} connections that nobody accepted yet; they are closed`));
}
