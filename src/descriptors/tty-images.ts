import { defined } from "../bytes/defined.ts";
import { u32, viewOf } from "../bytes/layout.ts";
import {
	type TermiosEntry,
	type TtyDataEntry,
	type TtyInfoEntry,
	TtyType,
	type WinsizeEntry,
} from "../criu/wire/generated/schema.ts";
import { majorOf, minorOf } from "../linux/stat.ts";
import { FIRST_SERIAL, NCCS, type Termios, TTY_MAJOR, TTY_MINOR, type Winsize } from "../linux/tty.ts";
import { slaveDevice, type Terminal, type TerminalPlace, UNKNOWN } from "./terminal.ts";

/** One end of a terminal, as an entry of tty-info.img names it. */
export interface ImageTerminal {
	readonly place: TerminalPlace;
	readonly terminal: Terminal;
}

/** What tty-info.img and tty-data.img say, by the id of the info. @param modes st_mode of the ends' nodes, by the same. */
export function terminalsIn(
	infos: readonly TtyInfoEntry[],
	data: readonly TtyDataEntry[],
	modes: ReadonlyMap<number, number>,
): ReadonlyMap<number, ImageTerminal> {
	const queued = new Map(data.map(({ tty_id, data }) => [tty_id, data]));
	const found = new Map<number, ImageTerminal>();
	const ptys = new Map<number, TtyInfoEntry[]>();
	const current: TtyInfoEntry[] = [];
	for (const info of infos) {
		const { type, pty } = info;
		if (pty !== undefined) ptys.set(pty.index, [...(ptys.get(pty.index) ?? []), info]);
		else if (type === TtyType.CTTY) current.push(info);
		else found.set(info.id, { place: "device", terminal: terminalOf([info]) });
	}
	for (const [index, ends] of ptys) {
		const [master, slave] = [ends.find(isMaster), ends.find((end) => !isMaster(end))];
		const [input, output] = [slave && queued.get(slave.id), master && queued.get(master.id)];
		const terminal: Terminal = {
			...terminalOf(slave === undefined ? ends : [slave, ...ends]),
			...{ id: slaveDevice(index), index },
			...(master === undefined ? {} : { mastered: true }),
			...(master?.locked === true ? { locked: true } : {}),
			...(master?.packet_mode === true ? { packets: true } : {}),
			...(master?.exclusive === true ? { masterExclusive: true } : {}),
			...(slave?.exclusive === true ? { slaveExclusive: true } : {}),
			...defined({ uid: slave?.uid, gid: slave?.gid, mode: slave && modes.get(slave.id), input, output }),
		};
		for (const end of ends) found.set(end.id, { place: isMaster(end) ? "master" : "slave", terminal });
	}
	const known = [...found.values()];
	for (const info of current) {
		const whose = known.find(({ terminal }) => info.sid !== 0 && terminal.session === info.sid)?.terminal;
		const terminal = whose ?? { ...terminalOf([info]), id: UNKNOWN };
		found.set(info.id, { place: "current", terminal });
	}
	return found;
}

/** CRIU gives the ends of pty N the ids 2N and 2N + 1 (criu/tty.c, tty_gen_id). */
const isMaster = ({ id, rdev }: TtyInfoEntry): boolean => rdev === PTMX || (rdev === 0 && id % 2 === 1);

const PTMX = (TTY_MAJOR.CURRENT << 8) | TTY_MINOR.PTMX;

/** What all kinds have. @param infos of its ends; what the first does not say, the others do. */
function terminalOf(infos: readonly TtyInfoEntry[]): Terminal {
	const first = <T>(pick: (info: TtyInfoEntry) => T | undefined): T | undefined =>
		infos.map(pick).find((value) => value !== undefined);
	const id = first(({ rdev }) => rdev) ?? 0;
	const [termios, fixed, window] = [
		first((it) => it.termios),
		first((it) => it.termios_locked),
		first((it) => it.winsize),
	];
	const locks = fixed && termiosFrom(fixed);
	return {
		id,
		...(termios === undefined ? {} : { settings: termiosFrom(termios) }),
		...(locks === undefined || isNothing(locks) ? {} : { fixed: locks }),
		...defined({
			window: window && windowFrom(window),
			session: first(({ sid }) => (sid === 0 ? undefined : sid)),
			foreground: first(({ pgrp }) => (pgrp === 0 ? undefined : pgrp)),
		}),
	};
}

const windowFrom = ({ ws_row, ws_col, ws_xpixel, ws_ypixel }: WinsizeEntry): Winsize => ({
	...{ ws_row, ws_col, ws_xpixel, ws_ypixel },
});

/** folklore: CRIU 4.2 has as many words for c_cc as that has bytes: four bytes lie in each of the first, garbage in the others. */
function termiosFrom({ c_iflag, c_oflag, c_cflag, c_lflag, c_line, c_ispeed, c_ospeed, c_cc }: TermiosEntry): Termios {
	const words = new Uint8Array(Math.max(c_cc.length, NCCS) * u32.size);
	for (const [i, word] of c_cc.entries()) u32.write(viewOf(words), i * u32.size, word);
	return { c_iflag, c_oflag, c_cflag, c_lflag, c_line: c_line & 0xff, c_cc: words.slice(0, NCCS), c_ispeed, c_ospeed };
}

function termiosTo(settings: Termios): TermiosEntry {
	const words = new Uint8Array(NCCS * u32.size);
	words.set(settings.c_cc);
	const c_cc = Array.from({ length: NCCS }, (_, i) => u32.read(viewOf(words), i * u32.size));
	return { ...settings, c_cc };
}

export const isNothing = ({ c_cc, ...words }: Termios): boolean =>
	c_cc.every((byte) => byte === 0) && Object.values(words).every((word) => word === 0);

const NOTHING: Termios = {
	...{ c_iflag: 0, c_oflag: 0, c_cflag: 0, c_lflag: 0, c_line: 0 },
	...{ c_cc: new Uint8Array(NCCS), c_ispeed: 0, c_ospeed: 0 },
};

/** The ids of entries of tty-info.img that CRIU gives (criu/tty.c). What it has one id for, we have several of. */
export function infoId(place: TerminalPlace, { id, index }: Terminal): number {
	if (index !== undefined && place !== "current") return index * 2 + (place === "master" ? 1 : 0);
	const type = place === "current" ? TtyType.CTTY : typeOf(id);
	return BEHIND_PTYS + (type - 1) * 4;
}

const BEHIND_PTYS = 2000;

/** The lowest id that none of CRIU's terminals has. */
export const FIRST_FREE_ID = 2022;

const typeOf = (id: number): number => {
	const device = BigInt(id);
	if (id === ((TTY_MAJOR.CURRENT << 8) | TTY_MINOR.CONSOLE)) return TtyType.CONSOLE;
	return majorOf(device) === TTY_MAJOR.VT && minorOf(device) < FIRST_SERIAL ? TtyType.VT : TtyType.SERIAL;
};

/** @param id {@link infoId}, unless another terminal has it. */
export function infoTo(id: number, place: TerminalPlace, terminal: Terminal): TtyInfoEntry {
	const { index, settings, fixed = NOTHING, window = NO_WINDOW, session = 0, foreground = 0 } = terminal;
	const isPty = index !== undefined && place !== "current";
	const isSlave = isPty && place === "slave";
	return {
		...{ id, type: isPty ? TtyType.PTY : place === "current" ? TtyType.CTTY : typeOf(terminal.id) },
		locked: place === "master" && terminal.locked === true,
		exclusive: (isSlave ? terminal.slaveExclusive : place === "master" && terminal.masterExclusive) === true,
		packet_mode: place === "master" && terminal.packets === true,
		...{ sid: session, pgrp: foreground },
		rdev: place === "master" ? PTMX : place === "current" ? UNKNOWN : terminal.id,
		...(settings === undefined
			? {}
			: { termios: termiosTo(settings), termios_locked: termiosTo(fixed), winsize: { ...window } }),
		...(isPty ? { pty: { index } } : {}),
		...(isSlave ? defined({ uid: terminal.uid, gid: terminal.gid }) : {}),
	};
}

const NO_WINDOW: Winsize = { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };

/** The records of tty-info.img and tty-data.img, as terminals are met. */
export function terminalRecords() {
	const ids = new Map<string, number>();
	const taken = new Set<number>();
	const infos: TtyInfoEntry[] = [];
	const data: TtyDataEntry[] = [];
	const idFor = (place: TerminalPlace, terminal: Terminal): number => {
		let id = infoId(place, terminal);
		for (let next = FIRST_FREE_ID; taken.has(id); next += 2) id = next;
		return id;
	};
	/** Of an end, which has one however many descriptions show it. */
	const add = (place: TerminalPlace, terminal: Terminal): number => {
		const key = `${place} ${terminal.id}`;
		const known = ids.get(key);
		if (known !== undefined) return known;
		const id = idFor(place, terminal);
		ids.set(key, id);
		taken.add(id);
		infos.push(infoTo(id, place, terminal));
		const waiting = place === "master" ? terminal.output : place === "slave" ? terminal.input : undefined;
		if (waiting !== undefined && waiting.length > 0) data.push({ tty_id: id, data: waiting });
		return id;
	};
	return { add, infos, data };
}
