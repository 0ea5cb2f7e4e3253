import { address, plus } from "../../bytes/address.ts";
import type { Range } from "../../bytes/range.ts";
import { EPOLLIN, epollEvent } from "../../linux/epoll.ts";
import { O } from "../../linux/open.ts";
import type { UserRegs } from "../../linux/registers.ts";
import type { EpollTarget } from "../files.ts";
import { type Finding, loss } from "../finding.ts";
import type { PartialMemory, PartialTask } from "../partial-task.ts";
import type { OpenObject } from "../program-objects.ts";
import { type Wait, waitsOn } from "../waits.ts";
import { type UvLoop, uvLockPipe, uvLoops } from "./libuv.ts";
import { hasPair } from "./search.ts";

/** What a descriptor must have been, as far as the core proves it. */
export interface Deduced {
	readonly number: number;
	readonly what: Stand;
	/** O_NONBLOCK or 0. */
	readonly flags: number;
	readonly closeOnExec: boolean;
	/** What proves it, in words. */
	readonly why: string;
	/** The thread that slept on it. */
	readonly tid?: number;
}

export type Stand =
	/** `complete`: what else it is to watch, the program adds itself. */
	| { readonly kind: "epoll"; readonly targets: readonly EpollTarget[]; readonly complete?: true }
	| { readonly kind: "eventfd" }
	/** One end of a pipe; `lock`: a byte waits in it. */
	| { readonly kind: "end"; readonly pipe: number; readonly access: number; readonly lock?: boolean }
	/** Something to wait on of which the kind is not known: a pipe open both ways, in which nothing ever comes. */
	| { readonly kind: "silence" };

/** Numbers above are no descriptors that a process can have without asking for a higher limit. */
const MOST_DESCRIPTORS = 65_536;

/** How many events that epoll reported are looked at, and what it can report (EPOLLIN, PRI, OUT, ERR, HUP, RDHUP). */
const MOST_REPORTED = 256n;
const REPORTED = 0x201f;

/** What eventfd(2) and timerfd(2) want read(2) to ask for, bytes; of a pipe one asks for more, or less. */
const COUNTER = 8n;

/**
 * The descriptors that the dead process's memory and registers name: those of libuv's loops, and those on which threads
 * were asleep. The first that says something of a number is believed, since loops know more than threads.
 */
export function deduceDescriptors(
	dead: PartialTask,
	places: readonly Range[],
	open: OpenObject,
	report: (finding: Finding) => void,
): Deduced[] {
	const found = new Map<number, Deduced>();
	const add = (deduced: Deduced): void => {
		const { number } = deduced;
		if (number >= 0 && number < MOST_DESCRIPTORS && !found.has(number)) found.set(number, deduced);
	};
	const loops = uvLoops(dead.memory, places);
	for (const [i, loop] of loops.entries()) addLoop(loop, `libuv's loop ${i + 1}`, add);
	const lock = loops.length === 0 ? undefined : uvLockPipe(dead.memory, open, loops);
	if (lock !== undefined) addPipe(lock, { flags: 0, why: "libuv's lock around signal handlers", lock: true }, add);
	const waits = dead.threads.flatMap((thread) => waitsOn(thread, dead.memory));
	for (const wait of waits) addWait(wait, dead, places, add);
	reportSockets(waits, new Set(found.keys()), report);
	return [...found.values()].sort((a, b) => a.number - b.number);
}

type Add = (deduced: Deduced) => void;

const ofLoop = { flags: O.NONBLOCK, closeOnExec: true };

function addLoop({ backend, async, signalPipe, watchers }: UvLoop, name: string, add: Add): void {
	// what is in a watcher but not yet in epoll, the loop adds by itself
	const targets = watchers.flatMap(({ descriptor, events }): EpollTarget[] =>
		events === 0 ? [] : [{ number: descriptor, events, data: BigInt(descriptor) }],
	);
	add({ number: backend, what: { kind: "epoll", targets, complete: true }, flags: 0, closeOnExec: true, why: name });
	if (async !== undefined) {
		const why = `what wakes ${name}`;
		const { read, write } = async;
		if (write === undefined) add({ ...ofLoop, number: read, what: { kind: "eventfd" }, why });
		else addPipe({ read, write }, { flags: O.NONBLOCK, why }, add);
	}
	if (signalPipe !== undefined) addPipe(signalPipe, { flags: O.NONBLOCK, why: `signals for ${name}` }, add);
	for (const { descriptor } of watchers)
		add({ ...ofLoop, number: descriptor, what: { kind: "silence" }, why: `watched by ${name}` });
}

function addPipe(
	{ read, write }: { readonly read: number; readonly write: number },
	{ flags, why, lock }: { readonly flags: number; readonly why: string; readonly lock?: boolean },
	add: Add,
): void {
	const end = (access: number): Stand => ({ kind: "end", pipe: read, access, ...(lock === true ? { lock } : {}) });
	add({ number: read, what: end(O.RDONLY), flags, closeOnExec: true, why });
	add({ number: write, what: end(O.WRONLY), flags, closeOnExec: true, why });
}

const READS: readonly string[] = ["read", "readv"];
const WRITES: readonly string[] = ["write", "writev"];
const EPOLL: readonly string[] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
const POLLS: readonly string[] = ["poll", "ppoll", "select", "pselect6"];

function addWait({ tid, call, descriptor, count }: Wait, dead: PartialTask, places: readonly Range[], add: Add): void {
	const why = `thread ${tid} sleeps in ${call} on it`;
	const common: Common = { tid, number: descriptor, flags: 0, closeOnExec: false, why };
	if (EPOLL.includes(call)) addEpoll(common, dead, add);
	// what one polls, one reads until there is no more
	else if (POLLS.includes(call)) add({ ...common, flags: O.NONBLOCK, what: { kind: "silence" } });
	else if (READS.includes(call) && count === COUNTER) add({ ...common, what: { kind: "eventfd" } });
	else if (READS.includes(call) && descriptor > 2 && hasPair(dead.memory, places, descriptor, descriptor + 1)) {
		add({ ...common, what: { kind: "end", pipe: descriptor, access: O.RDONLY } });
		const other = `with ${descriptor} in one int[2], as pipe(2) fills it`;
		add({ ...common, number: descriptor + 1, what: { kind: "end", pipe: descriptor, access: O.WRONLY }, why: other });
	} else if (READS.includes(call) || WRITES.includes(call)) add({ ...common, what: { kind: "silence" } });
}

type Common = Omit<Deduced, "what">;

/** What epoll had reported last is still where it reports to; by convention (epoll(7)) its cookie is the descriptor. */
function addEpoll(common: Common, { threads, memory }: PartialTask, add: Add): void {
	const registers = threads.find(({ tid }) => tid === common.tid)?.registers;
	const targets = registers === undefined ? [] : lastReported(registers, memory, common.number);
	add({ ...common, what: { kind: "epoll", targets } });
	for (const { number } of targets)
		add({
			...common,
			number,
			flags: O.NONBLOCK,
			what: { kind: "silence" },
			why: `reported last by epoll ${common.number}`,
		});
}

/** `epoll_wait(epfd, events, maxevents, timeout)` */
function lastReported({ si, dx }: UserRegs, memory: PartialMemory, own: number): EpollTarget[] {
	const found = new Map<number, EpollTarget>();
	for (let i = 0n; i < dx && i < MOST_REPORTED; i++) {
		const bytes = memory.read(plus(address(si), i * BigInt(epollEvent.size)), epollEvent.size);
		if (bytes === undefined) break;
		const { events, data } = epollEvent.decode(bytes);
		const number = Number(data);
		const plausible = events !== 0 && (events & ~REPORTED) === 0 && number > 2 && number < MOST_DESCRIPTORS;
		if (!plausible || number === own) break;
		found.set(number, { number, events: EPOLLIN, data });
	}
	return [...found.values()];
}

const isSocketCall = (call: string): boolean => /^(?:recv|send|accept|connect)/.test(call);

/** Calls for which only a socket will do, or a file of which nothing is known. */
function reportSockets(waits: readonly Wait[], known: ReadonlySet<number>, report: (finding: Finding) => void): void {
	for (const { tid, call, descriptor } of waits) {
		if (known.has(descriptor)) continue;
		const what = isSocketCall(call)
			? "a socket, for which there is no stand-in yet"
			: "a file that a core does not name";
		report(
			loss(
				"descriptor-deduced",
				`descriptor ${descriptor}`,
				`thread ${tid} was in ${call} on it: ${what}; it is closed, and the call fails with EBADF`,
			),
		);
	}
}
