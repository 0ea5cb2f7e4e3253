import { minorOf } from "../linux/stat.ts";
import { type Termios, TTY_MAJOR, TTY_MINOR, type Winsize } from "../linux/tty.ts";
import type { DescriptionCommon } from "./description.ts";

/** What lies behind descriptors of a terminal (tty(4), pty(7)). Both ends of a pty show the same. */
export interface Terminal {
	/** st_rdev of the terminal, of a pty that of its slave: the same for all that show it. */
	readonly id: number;
	/** N of /dev/pts/N; absent for what is no pty. */
	readonly index?: number;
	/** Absent where it was hung up on: no more can be done with it than to close it. */
	readonly settings?: Termios;
	/** Which bits of the settings nobody may change (TIOCSLCKTRMIOS), where there are any. */
	readonly fixed?: Termios;
	readonly window?: Winsize;
	/** The session whose controlling terminal it is, and the process group in its foreground. */
	readonly session?: number;
	readonly foreground?: number;
	/** Somebody has the master of the pty. */
	readonly mastered?: true;
	/** Its slave cannot be opened yet (TIOCSPTLCK). */
	readonly locked?: true;
	/** Its slave was open once and is not any more: reading from the master fails. */
	readonly slaveClosed?: true;
	/** The master reads in packets (TIOCPKT). */
	readonly packets?: true;
	/** Nobody else may open the end (TIOCEXCL). */
	readonly masterExclusive?: true;
	readonly slaveExclusive?: true;
	/** Who owns /dev/pts/N, and its st_mode. */
	readonly uid?: number;
	readonly gid?: number;
	readonly mode?: number;
	/** What was typed and not read yet, as its line discipline has it: a character that ends input stands for itself. */
	readonly input?: Uint8Array;
	/** What programs wrote and the master has not read yet. */
	readonly output?: Uint8Array;
}

/** A controlling terminal of which nothing else is known. */
export const UNKNOWN = TTY_MAJOR.CURRENT << 8;

/** Where its other end, or all of it, is that of somebody who is not among the processes. */
export const isOutside = ({ id, index, settings, mastered }: Terminal): boolean =>
	id === UNKNOWN || (index !== undefined && settings !== undefined && mastered !== true);

/** It was a pty, and its master is gone. */
export const isHungUp = ({ index, settings }: Terminal): boolean => index !== undefined && settings === undefined;

/** Of a session of these processes. */
export const isControlling = ({ session }: Terminal): boolean => session !== undefined;

export const slavePath = (index: number): string => `/dev/pts/${index}`;

/** `dev_t` of /dev/pts/N, as stat(2) gives it. */
export const slaveDevice = (index: number): number =>
	(TTY_MAJOR.PTY_SLAVE << 8) | (index & 0xff) | ((index & ~0xff) << 12);

/** A terminal (tty(4), pty(7)). */
export interface Tty extends DescriptionCommon {
	readonly kind: "tty";
	/** What of the terminal it shows: either end of a pty, /dev/tty, or a device that is none of these. */
	readonly place: TerminalPlace;
	/** The name that it was opened by. */
	readonly path: string;
	/** st_mode of that. */
	readonly mode?: number;
	readonly terminal: Terminal;
}

/** What a device is, of those that are terminals. */
export type TerminalPlace = "master" | "slave" | "current" | "device";

/** @param major and minor of a device of characters. */
export function placeOfDevice(major: number, minor: number): TerminalPlace | undefined {
	if (major >= TTY_MAJOR.PTY_SLAVE && major < TTY_MAJOR.PTY_SLAVE + PTY_MAJORS) return "slave";
	if (major === TTY_MAJOR.CURRENT && minor === TTY_MINOR.PTMX) return "master";
	if (major === TTY_MAJOR.CURRENT && minor === TTY_MINOR.CURRENT) return "current";
	return major === TTY_MAJOR.VT || major === TTY_MAJOR.CURRENT || major === TTY_MAJOR.SERIAL ? "device" : undefined;
}

const PTY_MAJORS = 8;

/** N of /dev/pts/N, by its device. */
export const indexOfSlave = (device: bigint): number => minorOf(device);
