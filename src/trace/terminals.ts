import type { Agent, Performed } from "../agent/agent.ts";
import { type BatchArg, EVERY_BIT, label, SIGN, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { i32, i32Bytes, u32, viewOf } from "../bytes/layout.ts";
import { EIO, failedWith } from "../linux/errno.ts";
import { F } from "../linux/fcntl.ts";
import { FIONREAD } from "../linux/io.ts";
import { O } from "../linux/open.ts";
import { POLLHUP, POLLIN, POLLOUT, pollfd } from "../linux/poll.ts";
import { timespec } from "../linux/time.ts";
import { TCGETS2, TCSETS2, type Termios, TIOC, termios2, type Winsize, winsize } from "../linux/tty.ts";

/** What an open end of a terminal says of itself. What it cannot say is absent. */
export interface TerminalWords {
	/** Absent where it was hung up on. */
	readonly settings?: Termios;
	readonly fixed?: Termios;
	readonly window?: Winsize;
	readonly exclusive: boolean;
	/** Of a master only. */
	readonly locked: boolean;
	readonly packets: boolean;
	/** Bytes that can be read. */
	readonly unread: number;
	/** What poll(2) says. */
	readonly events: number;
	/** The device that /dev/tty stands for, as the kernel has it (TIOCGDEV). */
	readonly device?: number;
}

const PATIENCE = 30_000;

/** @param fd the agent's copy of it. */
export async function askTerminal(agent: Agent, fd: bigint): Promise<TerminalWords> {
	const batch = agent.batch();
	const ask = (request: number, size: number) => {
		const into = batch.space(size);
		return { into, result: batch.call("ioctl", fd, request, into) };
	};
	const [settings, fixed, window] = [
		ask(TCGETS2, termios2.size),
		ask(TIOC.GLCKTRMIOS, termios2.size),
		ask(TIOC.GWINSZ, winsize.size),
	];
	const [exclusive, locked, packets, unread, device] = [
		ask(TIOC.GEXCL, i32.size),
		ask(TIOC.GPTLCK, i32.size),
		ask(TIOC.GPKT, i32.size),
		ask(FIONREAD, i32.size),
		ask(TIOC.GDEV, u32.size),
	];
	const poll = batch.put(pollfd.encode({ fd: Number(fd), events: POLLIN | POLLOUT, revents: 0 }));
	batch.call("poll", poll, 1, 0);
	const done = await agent.perform(batch, { patience: PATIENCE, doing: "looking at terminals" });
	const got = ({ result }: { readonly result: Slot }): boolean => done.result(result) >= 0n;
	const int = (asked: { readonly into: Slot; readonly result: Slot }): number =>
		got(asked) ? i32.read(viewOf(done.bytes(asked.into)), 0) : 0;
	const hung = failedWith(done.result(settings.result), EIO);
	return {
		...(hung || !got(settings) ? {} : { settings: termios2.decode(done.bytes(settings.into)) }),
		...(got(fixed) ? { fixed: termios2.decode(done.bytes(fixed.into)) } : {}),
		...(got(window) ? { window: winsize.decode(done.bytes(window.into)) } : {}),
		...{ exclusive: int(exclusive) !== 0, locked: int(locked) !== 0, packets: int(packets) !== 0 },
		...{ unread: int(unread), events: pollfd.decode(done.bytes(poll)).revents },
		...(got(device) ? { device: u32.read(viewOf(done.bytes(device.into)), 0) } : {}),
	};
}

/** Its other end was opened once, and is closed. */
export const isClosedOnOtherSide = ({ events }: TerminalWords): boolean => (events & POLLHUP) !== 0;

export const takesOutput = ({ events }: TerminalWords): boolean => (events & POLLOUT) !== 0;

/** What waits in a pty whose both ends are ours alone. */
export interface TerminalQueues {
	/** As the line discipline has it. Bytes of 0 among lines are the ends of input, but those that were typed. */
	readonly input: Buffer;
	readonly output: Buffer;
	/** Bytes of whole lines, as they would be read (FIONREAD); of all that was typed where input does not come in lines. */
	readonly ready: number;
}

/** Both ends of a pty, open in the agent. */
export interface OpenPty {
	readonly master: bigint;
	/** O_ flags of the master's description, which is that of the process. */
	readonly flags: number;
	readonly packets: boolean;
	readonly locked: boolean;
	readonly settings: Termios;
	/** Settings under which what is written to either end waits in the other as it is. */
	readonly quiet: Termios;
	/** Under which all that waits can be read. */
	readonly raw: Termios;
}

/** Bytes read at a time. */
const CHUNK = 1024;

/**
 * Reads what waits in a pty and puts it back, in one request: the agent carries that out also when we are gone. Nobody else may read
 * or write meanwhile.
 *
 * @param typed what is put back instead of what was typed: the ends of input among it, which read as zeros.
 * @returns `undefined` where its slave cannot be opened.
 */
export async function queuesOf(agent: Agent, pty: OpenPty, typed?: Buffer): Promise<TerminalQueues | undefined> {
	const { master, flags, packets, locked, settings, quiet, raw } = pty;
	const batch = agent.batch();
	const room = batch.space(CHUNK);
	const settle = (value: Termios): void =>
		void batch.call("ioctl", master, TCSETS2, batch.put(termios2.encode(value), 4));
	const int = (value: number): Slot => batch.put(i32Bytes(value));
	const failed = label("no slave");
	const name = batch.put(Buffer.from("terminal\0"), 1);
	const kept = [0, 1].map(() => batch.call("memfd_create", name, 0));
	const [input, output] = kept.map((slot) => ({ valueOf: slot }));
	if (input === undefined || output === undefined) throw new RangeError("two files");
	if (locked) batch.call("ioctl", master, TIOC.SPTLCK, int(0));
	const opened = batch.call("ioctl", master, TIOC.GPTPEER, O.RDWR | O.NONBLOCK | O.NOCTTY | O.CLOEXEC);
	const slave = { valueOf: opened };
	batch.branch(slave, SIGN, SIGN, failed);
	batch.call("fcntl", master, F.SETFL, flags | O.NONBLOCK);
	if (packets) batch.call("ioctl", master, TIOC.PKT, int(0));
	const ready = batch.space(8);
	batch.call("ioctl", slave, FIONREAD, ready);
	settle(raw);
	pour(batch, room, slave, input);
	pour(batch, room, master, output);
	settle(quiet);
	for (const [from, into] of [
		[input, master],
		[output, slave],
	] as const) {
		batch.call("lseek", from, 0, 0);
		if (from !== input || typed === undefined) pour(batch, room, from, into);
		else batch.call("write", into, batch.put(typed, 1), typed.length);
	}
	settled(batch, slave, ready);
	settle(settings);
	if (packets) batch.call("ioctl", master, TIOC.PKT, int(1));
	batch.call("fcntl", master, F.SETFL, flags);
	batch.call("close", slave);
	batch.mark(failed);
	if (locked) batch.call("ioctl", master, TIOC.SPTLCK, int(1));
	const done = await agent.perform(batch, { patience: PATIENCE, doing: "reading terminals" });
	const files = kept.map((slot) => done.result(slot));
	try {
		if (done.result(opened) < 0n) return undefined;
		const [read, written] = [await contentOf(agent, files[0] ?? -1n), await contentOf(agent, files[1] ?? -1n)];
		return { input: read, output: written, ready: u32.read(viewOf(done.bytes(ready)), 0) };
	} finally {
		for (const file of files) await agent.call("close", file);
	}
}

/** Reads from one descriptor and writes to another, until nothing comes. */
function pour(batch: SyscallBatch, room: Slot, from: BatchArg, into: BatchArg): void {
	const [again, end] = [label("again"), label("nothing more")];
	batch.mark(again);
	const got = { valueOf: batch.call("read", from, room, CHUNK) };
	batch.branch(got, SIGN, SIGN, end);
	batch.branch(got, EVERY_BIT, 0, end);
	batch.call("write", into, room, got);
	batch.jump(again);
	batch.mark(end);
}

/** How often, and for how many nanoseconds, it is waited for a line discipline that works by itself (flush_to_ldisc). */
const [TIMES, PAUSE] = [100, 2_000_000n];

/** Until as much can be read as before: settings that come earlier change what is on its way. */
function settled(batch: SyscallBatch, slave: BatchArg, ready: Slot): void {
	const end = label("as much as before");
	const pause = batch.put(timespec.encode({ tv_sec: 0n, tv_nsec: PAUSE }));
	const now = batch.space(8);
	for (let i = 0; i < TIMES; i++) {
		batch.call("ioctl", slave, FIONREAD, now);
		batch.branch({ valueOf: now }, EVERY_BIT, { valueOf: ready }, end);
		batch.call("nanosleep", pause, 0);
	}
	batch.mark(end);
}

async function contentOf(agent: Agent, file: bigint): Promise<Buffer> {
	const size = Number(await agent.call("lseek", file, 0, 2));
	await agent.call("lseek", file, 0, 0);
	const parts: Buffer[] = [];
	for (let done = 0; done < size; ) {
		const batch = agent.batch();
		const into = batch.space(1 << 15);
		const result = batch.call("read", file, into, 1 << 15);
		const read: Performed = await agent.perform(batch, { patience: PATIENCE, doing: "reading terminals" });
		const got = Number(read.result(result));
		if (got <= 0) break;
		parts.push(Buffer.from(read.bytes(into).subarray(0, got)));
		done += got;
	}
	return Buffer.concat(parts);
}
