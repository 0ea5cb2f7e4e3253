import type { Agent } from "../agent/agent.ts";
import type { OpenDescriptor } from "../descriptors/ask.ts";
import {
	indexOfSlave,
	placeOfDevice,
	slaveDevice,
	type Terminal,
	type TerminalPlace,
	UNKNOWN,
} from "../descriptors/terminal.ts";
import { isNothing } from "../descriptors/tty-images.ts";
import { quietened } from "../descriptors/tty-making.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding, loss } from "../finding.ts";
import { errnoName } from "../linux/errno.ts";
import { O } from "../linux/open.ts";
import { majorOf, minorOf, S_IFCHR, S_IFMT } from "../linux/stat.ts";
import { EXTPROC, ICANON, type Termios, VEOF, VEOL, VEOL2, VMIN } from "../linux/tty.ts";
import { readStat } from "../proc/stat.ts";
import { askTerminal, isClosedOnOtherSide, queuesOf, type TerminalWords, takesOutput } from "../trace/terminals.ts";
import { modeAndOwner } from "./looks.ts";

/** The terminals of the processes that are dumped, each once for all that have it. */
export interface LiveTerminals {
	/** What a process has open, before anything is asked of any; the last word counts. */
	meet(pid: number, open: readonly OpenDescriptor[]): void;
	/** Whether the other end is that of somebody whom nobody told it of, and must not be (see --shell-job). */
	isElsewhere(pid: number, open: OpenDescriptor, place: TerminalPlace): boolean;
	/** @throws NecromancerError ERR_HOST */
	of(agent: Agent, whose: Pick<End, "pid" | "open">, place: TerminalPlace): Promise<Terminal>;
}

/** An end that a process has. */
interface End {
	readonly pid: number;
	readonly open: OpenDescriptor;
	readonly place: TerminalPlace;
	readonly index?: number;
}

/** A process's controlling terminal. */
interface Controlled {
	readonly session: number;
	/** As st_rdev. */
	readonly device: number;
	readonly foreground: number;
}

/** @param shellJob What has its other end elsewhere is left there. */
export function terminalTable(shellJob: boolean, report: (pid: number, finding: Finding) => void): LiveTerminals {
	const ends = new Map<number, readonly End[]>();
	const controlled = new Map<number, Controlled>();
	const known = new Map<number, Promise<Terminal>>();
	const all = (): readonly End[] => [...ends.values()].flat();
	const masterOf = (index: number | undefined): End | undefined =>
		all().find((end) => end.place === "master" && end.index === index);
	const sessionOf = (device: number): Controlled | undefined =>
		[...controlled.values()].find((it) => it.device === device);

	async function ptyOf(agent: Agent, index: number, asked: End): Promise<Terminal> {
		const device = slaveDevice(index);
		const [master, slave] = [masterOf(index), all().find((end) => end.place === "slave" && end.index === index)];
		const whole = master ?? asked;
		const subject = `descriptor ${whole.open.number}`;
		return await withCopy(agent, whole, async (fd) => {
			const words = await askTerminal(agent, fd);
			const ofSlave =
				slave === undefined || slave === whole ? words : await withCopy(agent, slave, (own) => askTerminal(agent, own));
			const { settings } = words;
			const queues =
				master === undefined || slave === undefined || settings === undefined
					? {}
					: await waitingIn(agent, fd, master, { words, slave: ofSlave, settings }, report);
			if (master !== undefined && slave === undefined && words.unread > 0)
				report(
					whole.pid,
					loss("queued-data", subject, `${words.unread} bytes wait to be read from the terminal; they are gone`),
				);
			return {
				...{ id: device, index, ...common(words), ...sessionWords(device) },
				...(master === undefined ? {} : { mastered: true }),
				...(master !== undefined && words.locked ? { locked: true } : {}),
				...(master !== undefined && words.packets ? { packets: true } : {}),
				...(master !== undefined && words.exclusive ? { masterExclusive: true } : {}),
				...(slave !== undefined && ofSlave.exclusive ? { slaveExclusive: true } : {}),
				...(slave === undefined ? {} : modeAndOwner(slave.open.stat)),
				...(slave === undefined && master !== undefined && isClosedOnOtherSide(words) ? { slaveClosed: true } : {}),
				...queues,
			};
		});
	}

	function sessionWords(device: number): Pick<Terminal, "session" | "foreground"> {
		const session = sessionOf(device);
		if (session === undefined) return {};
		return { session: session.session, ...(session.foreground > 0 ? { foreground: session.foreground } : {}) };
	}

	async function deviceOf(agent: Agent, end: End): Promise<Terminal> {
		const device = Number(end.open.stat.rdev);
		const words = await withCopy(agent, end, (fd) => askTerminal(agent, fd));
		return { id: device, ...common(words), ...sessionWords(device) };
	}

	/** What /dev/tty stands for. */
	async function currentOf(agent: Agent, end: End): Promise<Terminal> {
		const words = await withCopy(agent, end, (fd) => askTerminal(agent, fd));
		const device = words.device === undefined ? UNKNOWN : words.device;
		const place = placeOfDevice(majorOf(BigInt(device)), minorOf(BigInt(device)));
		if (place === "slave") {
			const index = indexOfSlave(BigInt(device));
			const shown = masterOf(index) ?? all().find((it) => it.place === "slave" && it.index === index);
			return shown === undefined
				? { id: UNKNOWN, ...common(words), ...sessionWords(device) }
				: await remembered(agent, device, shown);
		}
		const shown = all().find((it) => it.place === "device" && Number(it.open.stat.rdev) === device);
		return shown === undefined
			? { id: device, ...common(words), ...sessionWords(device) }
			: await remembered(agent, device, shown);
	}

	function remembered(agent: Agent, device: number, end: End): Promise<Terminal> {
		const terminal =
			known.get(device) ?? (end.index === undefined ? deviceOf(agent, end) : ptyOf(agent, end.index, end));
		known.set(device, terminal);
		return terminal;
	}

	return {
		meet: (pid, open) => {
			ends.set(
				pid,
				open.flatMap((one) => endOf(pid, one) ?? []),
			);
			const { terminal, sid, foreground } = readStat(pid);
			if (terminal === 0) controlled.delete(pid);
			else controlled.set(pid, { session: sid, device: terminal, foreground });
		},
		isElsewhere: (pid, open, place) => {
			if (shellJob || place === "master" || place === "device") return false;
			if (place === "slave")
				return (
					open.link === `/dev/pts/${indexOfSlave(open.stat.rdev)}` &&
					masterOf(indexOfSlave(open.stat.rdev)) === undefined
				);
			const device = BigInt(controlled.get(pid)?.device ?? 0);
			return (
				placeOfDevice(majorOf(device), minorOf(device)) === "slave" && masterOf(indexOfSlave(device)) === undefined
			);
		},
		of: async (agent, { pid, open }, place) => {
			const end = (ends.get(pid) ?? []).find((it) => it.open.number === open.number) ?? unmet(open);
			if (place === "current") return await currentOf(agent, end);
			const device = end.index === undefined ? Number(open.stat.rdev) : slaveDevice(end.index);
			return await remembered(agent, device, end);
		},
	};
}

const unmet = ({ number }: OpenDescriptor): never => {
	throw new RangeError(`descriptor ${number} was not met`);
};

function endOf(pid: number, open: OpenDescriptor): End | undefined {
	const { stat, info } = open;
	if ((Number(stat.mode) & S_IFMT) !== S_IFCHR) return undefined;
	const place = placeOfDevice(majorOf(stat.rdev), minorOf(stat.rdev));
	if (place === undefined) return undefined;
	const index =
		place === "slave" ? indexOfSlave(stat.rdev) : place === "master" ? Number(info.field("tty-index")) : undefined;
	return { pid, open, place, ...(index === undefined ? {} : { index }) };
}

async function withCopy<T>(agent: Agent, { pid, open }: End, use: (fd: bigint) => Promise<T>): Promise<T> {
	const pidfd = await agent.call("pidfd_open", pid, 0);
	try {
		const fd = pidfd < 0n ? pidfd : await agent.call("pidfd_getfd", pidfd, open.number, 0);
		if (fd < 0n)
			refuse("ERR_HOST", {
				subject: `descriptor ${open.number} of process ${pid}`,
				finding: `pidfd_getfd failed with ${errnoName(Number(fd))}`,
			});
		try {
			return await use(fd);
		} finally {
			await agent.call("close", fd);
		}
	} finally {
		if (pidfd >= 0n) await agent.call("close", pidfd);
	}
}

function common({ settings, fixed, window }: TerminalWords): Pick<Terminal, "settings" | "fixed" | "window"> {
	if (settings === undefined) return {};
	return {
		settings,
		...(fixed === undefined || isNothing(fixed) ? {} : { fixed }),
		...(window === undefined ? {} : { window }),
	};
}

interface Asked {
	readonly words: TerminalWords;
	readonly slave: TerminalWords;
	readonly settings: Termios;
}

/** Bytes that wait in a master whose slave cannot be written to because nobody reads: about as many as a line discipline holds. */
const FULL = 4000;

async function waitingIn(
	agent: Agent,
	fd: bigint,
	{ pid, open }: End,
	{ words, slave, settings }: Asked,
	report: (pid: number, finding: Finding) => void,
): Promise<Pick<Terminal, "input" | "output">> {
	const subject = `descriptor ${open.number}`;
	if (!takesOutput(slave) && words.unread < FULL) {
		const bytes = words.unread === 0 ? "" : `, and ${words.unread} bytes that waited are gone`;
		report(
			pid,
			loss("queued-data", subject, `is a terminal whose output is stopped; it goes on when it comes back${bytes}`),
		);
		return {};
	}
	const pty = {
		...{ master: fd, flags: open.info.flags & ~O.CLOEXEC, packets: words.packets, locked: words.locked, settings },
		...{ quiet: quietened(settings), raw: rawOf(settings) },
	};
	const queues = await queuesOf(agent, pty);
	if (queues === undefined) {
		report(pid, loss("queued-data", subject, "is a terminal that we may not open again: what waits in it is gone"));
		return {};
	}
	const typed = withEnds(queues.input, queues.ready, settings);
	if (typed === undefined) {
		report(
			pid,
			caution("queued-data", subject, "has zeros or ends of input among what was typed: lines may end elsewhere"),
		);
		return filled(queues.input, queues.output);
	}
	if (!typed.equals(queues.input)) await queuesOf(agent, pty, typed);
	return filled(typed, queues.output);
}

const filled = (input: Buffer, output: Buffer): Pick<Terminal, "input" | "output"> => ({
	...(input.length === 0 ? {} : { input }),
	...(output.length === 0 ? {} : { output }),
});

/** Nothing but bytes; each can be read. */
function rawOf(settings: Termios): Termios {
	const quiet = quietened(settings);
	const c_cc = new Uint8Array(quiet.c_cc);
	c_cc[VMIN] = 1;
	return { ...quiet, c_cc, c_lflag: quiet.c_lflag & EXTPROC };
}

/**
 * With the character that ends input in the place of the zeros that stand for it (drivers/tty/n_tty.c, __DISABLED_CHAR); the same
 * where there are none. `undefined` where zeros or that character were typed too, or input does not add up.
 */
export function withEnds(input: Buffer, ready: number, { c_lflag, c_cc }: Termios): Buffer | undefined {
	if ((c_lflag & ICANON) === 0) return input;
	const delimiters = new Set([0x0a, 0, ...[VEOL, VEOL2].map((index) => c_cc[index] ?? 0)]);
	const last = input.findLastIndex((byte) => delimiters.has(byte));
	const lines = input.subarray(0, last + 1);
	const end = c_cc[VEOF] ?? 0;
	const zeros = lines.filter((byte) => byte === 0).length;
	if (end !== 0 && input.includes(end)) return undefined;
	if (zeros === 0) return input;
	if (end === 0 || lines.length - zeros !== ready) return undefined;
	return Buffer.from(input.map((byte, i) => (byte === 0 && i <= last ? end : byte)));
}
