import { i32Bytes } from "../bytes/layout.ts";
import { EPERM } from "../linux/errno.ts";
import { F, FD_CLOEXEC } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { POLLIN, pollfd } from "../linux/poll.ts";
import { timespec } from "../linux/time.ts";
import {
	EXTPROC,
	ICANON,
	IXON,
	NCCS,
	TCSETS,
	TCSETS2,
	type Termios,
	TIOC,
	termios2,
	VEOF,
	VEOL,
	VEOL2,
	winsize,
} from "../linux/tty.ts";
import type { Arg } from "../program/args.ts";
import { bytesDatum, cellDatum } from "../program/data.ts";
import type { MadeInput } from "./inputs.ts";
import { openByName, openNode } from "./node.ts";
import { addDuplicate, addStatusFlags, type FdAllocator, openFlags, type Slot } from "./steps.ts";
import { isControlling, isHungUp, slavePath, type Terminal, type Tty } from "./terminal.ts";
import { keepAs, type Workshop } from "./workshop.ts";

/** What the workshop keeps an end under. */
const endOf = ({ content, key }: Slot<Tty>): string => `terminal ${content.terminal.id}, descriptor ${key}`;

/** What the leader of its session takes it by (TIOCSCTTY). */
export const controlOf = ({ id }: Terminal): string => `terminal ${id}, of its session`;

/** Ptys that are made, each with its ends. */
interface Pty {
	readonly terminal: Terminal;
	readonly index: number;
	readonly master?: Slot<Tty>;
	readonly slaves: readonly Slot<Tty>[];
}

function ptysIn(slots: readonly Slot<Tty>[]): readonly Pty[] {
	const found = new Map<number, { terminal: Terminal; index: number; master?: Slot<Tty>; slaves: Slot<Tty>[] }>();
	for (const slot of slots) {
		const { place, terminal } = slot.content;
		if (terminal.index === undefined || place === "current") continue;
		const pty = found.get(terminal.index) ?? { terminal, index: terminal.index, slaves: [] };
		found.set(terminal.index, pty);
		if (place === "master") pty.master = slot;
		else pty.slaves.push(slot);
	}
	return [...found.values()].sort((a, b) => a.index - b.index);
}

export const madeTerminals = (slots: readonly Slot<Tty>[]): readonly MadeInput[] =>
	ptysIn(slots).flatMap(({ terminal, index, master, slaves }) => {
		const name = slavePath(index);
		return [
			...(master === undefined ? [] : [{ key: endOf(master), name: `master of ${name}` }]),
			...slaves.map((slave) => ({ key: endOf(slave), name })),
			...(isControlling(terminal) ? [{ key: controlOf(terminal), name }] : []),
		];
	});

export function makeTerminals(slots: readonly Slot<Tty>[], workshop: Workshop): void {
	for (const pty of ptysIn(slots)) makePty(pty, workshop);
}

/** All ends of a pty, with what waits in it and its settings. Its master is open already, under the index that it had. */
function makePty({ terminal, index, master, slaves }: Pty, workshop: Workshop): void {
	const { add, inputs } = workshop;
	const name = slavePath(index);
	const made = inputs.file(name, "terminal");
	const whole: Arg = { input: made };
	const control = (request: number, arg: Arg, why: string): void =>
		add("ioctl", [whole, BigInt(request), arg], `${why} ${name}`);
	const int = (value: number, what: string): Arg => bytesDatum(`${what} of ${name}`, i32Bytes(value));
	control(TIOC.SPTLCK, int(0, "no lock"), "may be opened:");
	const peer = (flags: number): Arg => {
		const at = cellDatum(`descriptor of ${name}`);
		const how = BigInt(openFlags(flags) | O.CLOEXEC);
		add("ioctl", [whole, BigInt(TIOC.GPTPEER), how], `the slave ${name}`, { save: at });
		return { valueOf: at };
	};
	const kept = [
		...slaves.map((slave) => ({ key: endOf(slave), flags: slave.content.flags })),
		...(isControlling(terminal) ? [{ key: controlOf(terminal), flags: O.RDWR }] : []),
	].map(({ key, flags }) => {
		const { number } = inputs.made(key);
		keepAs(add, peer(flags), number, name);
		return BigInt(number);
	});
	const [slave] = kept;
	const { settings, fixed, window, output, input } = terminal;
	if (settings !== undefined) {
		if (input !== undefined || output !== undefined) {
			settle(quietened(settings), "settings that change nothing of what waits in", TCSETS2);
			fill(whole, input, "typed into");
			if (input !== undefined && slave !== undefined) arrive(slave, input.length);
		}
		if (output !== undefined) {
			const writer = peer(O.RDWR | O.NONBLOCK);
			fill(writer, output, "written to");
			add("close", [writer], `what was written to ${name} waits`);
		}
		const hasSpeeds = settings.c_ispeed !== 0 || settings.c_ospeed !== 0;
		settle(settings, "the settings of", hasSpeeds ? TCSETS2 : TCSETS);
		if (fixed !== undefined) settle(fixed, "settings that nobody may change of", TIOC.SLCKTRMIOS);
		if (window !== undefined)
			control(TIOC.SWINSZ, bytesDatum(`size of ${name}`, winsize.encode(window)), "the window size of");
	}
	if (slave === undefined && terminal.slaveClosed === true)
		add("close", [peer(O.RDWR)], `nobody has the slave ${name} any more`);
	if (slave !== undefined && !isHungUp(terminal)) own(slave);
	if (terminal.packets === true) control(TIOC.PKT, int(1, "packets"), "packets from");
	if (slave !== undefined && terminal.slaveExclusive === true)
		add("ioctl", [slave, BigInt(TIOC.EXCL)], `nobody else opens ${name}`);
	if (terminal.masterExclusive === true) add("ioctl", [whole, BigInt(TIOC.EXCL)], `nobody else opens ${name}`);
	if (terminal.locked === true) control(TIOC.SPTLCK, int(1, "a lock"), "must not be opened:");
	if (master === undefined) {
		add("close", [whole], `nobody had the master of ${name}: it is hung up`);
		return;
	}
	addStatusFlags(workshop, whole, O.RDWR | O.NONBLOCK, master.content.flags);
	keepAs(add, whole, inputs.made(endOf(master)).number, `master of ${name}`);

	function settle(value: Termios, why: string, request: number): void {
		control(request, bytesDatum(`${why} ${name}`, termios2.encode(value), { align: 4 }), why);
	}

	function fill(into: Arg, bytes: Uint8Array | undefined, how: string): void {
		if (bytes === undefined || bytes.length === 0) return;
		const length = BigInt(bytes.length);
		add("write", [into, bytesDatum(`what was ${how} ${name}`, bytes, { align: 1 }), length], `was ${how} ${name}`, {
			expect: { exactly: length },
		});
	}

	/**
	 * folklore: what is written to a master reaches the line discipline by itself (flush_to_ldisc, drivers/tty/tty_buffer.c), and whoever
	 * changes the settings before has it treated by the new ones. poll(2) waits for that where nothing can be read yet, and the
	 * settings wait for what has begun; only more than one buffer needs time.
	 */
	function arrive(slave: bigint, length: number): void {
		const poll = bytesDatum(`events of ${name}`, pollfd.encode({ fd: Number(slave), events: POLLIN, revents: 0 }));
		add("poll", [poll, 1n, 0n], `${name} has what was typed`);
		if (length <= BUFFER) return;
		const pause = bytesDatum(`time for ${name}`, timespec.encode({ tv_sec: 0n, tv_nsec: PAUSE }));
		add("nanosleep", [pause, 0n], `all of it`);
	}

	function own(slave: Arg): void {
		const { uid, gid, mode } = terminal;
		workshop.actor.asCaller();
		if (uid !== undefined && gid !== undefined)
			add("fchown", [slave, BigInt(uid), BigInt(gid)], `who owns ${name}`, { expect: { successOr: EPERM } });
		if (mode !== undefined)
			add("fchmod", [slave, BigInt(mode & 0o7777)], "its permissions", { expect: { successOr: EPERM } });
	}
}

/** Bytes that surely fit one buffer of a terminal (TTY_BUFFER_PAGE), and nanoseconds for more. */
const [BUFFER, PAUSE] = [1024, 20_000_000n];

/**
 * Settings under which what is written to either end waits in the other as it is: no echo, no signals, no characters that edit, but
 * lines end where they did. What is stopped stays so (IXON).
 */
export function quietened(settings: Termios): Termios {
	const c_cc = new Uint8Array(NCCS);
	for (const index of [VEOF, VEOL, VEOL2]) c_cc[index] = settings.c_cc[index] ?? 0;
	return {
		...settings,
		c_cc,
		c_iflag: settings.c_iflag & IXON,
		c_oflag: 0,
		c_lflag: settings.c_lflag & (ICANON | EXTPROC),
	};
}

export const waitsFor = (slot: Slot<Tty>): string | undefined =>
	slot.content.place === "current" || slot.content.place === "device" ? undefined : endOf(slot);

/** Gives its number to an end; a process opens /dev/tty, and devices, by itself. */
export function openTerminal(slot: Slot<Tty>, fds: FdAllocator): void {
	const { number, closeOnExec, content } = slot;
	const { place, path, flags, mode } = content;
	if (place === "current") {
		fds.actor.asUser();
		openByName(fds, slot, path, flags, `descriptor ${number}, ${path}`);
		return;
	}
	if (place === "device") {
		openNode(fds, slot, path, flags, mode === undefined ? undefined : false);
		return;
	}
	const input = fds.inputs.made(endOf(slot));
	if (input.number === number)
		fds.add("fcntl", [BigInt(number), BigInt(F.SETFD), BigInt(closeOnExec ? FD_CLOEXEC : 0)], `${path} waits there`);
	else addDuplicate(fds, { input }, number, closeOnExec, `descriptor ${number}, ${path}`);
}
