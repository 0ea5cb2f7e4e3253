import type { Range } from "../../bytes/range.ts";
import type { EpollTarget } from "../../descriptors/epoll.ts";
import type { DescriptorGuess, GuessedKind } from "../../descriptors/stand-ins.ts";
import { type Finding, loss } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { O } from "../../linux/open.ts";
import { EPOLLIN } from "../../linux/poll.ts";
import { addAwaited } from "./awaited-descriptors.ts";
import { type Add, MOST_DESCRIPTORS } from "./descriptor-guess.ts";
import type { Evidence } from "./evidence.ts";
import { type GoPoller, goPoller } from "./go-poller.ts";
import { type UvLoop, uvLockPipe } from "./libuv.ts";
import type { OpenObject } from "./program-objects.ts";
import { type SelfPipe, selfPipes } from "./python-sockets.ts";
import { stdioFiles, stdioFinding } from "./stdio.ts";
import { type Wait, waitsOf } from "./waits.ts";

export interface ProvedDescriptors {
	/** Those that libuv's loops, Go's poller and asyncio name: what these are is certain. */
	readonly loops: readonly DescriptorGuess[];
	/** And those on which threads were asleep, ascending. */
	readonly all: readonly DescriptorGuess[];
	/** Says on which others threads slept, and which stdio had open. @param known of which something else tells */
	reportOthers(known: Iterable<number>, report: (finding: Finding) => void): void;
}

/**
 * The descriptors that the dead process's memory and registers name: those of libuv's loops and of Go's runtime, and those
 * on which threads were asleep. The first that says something of a number is believed, since loops know more than threads.
 */
export function provedDescriptors(
	dead: PartialTask,
	places: readonly Range[],
	{ open, calls, loopsIn }: Pick<Evidence, "open" | "calls" | "loopsIn">,
): ProvedDescriptors {
	const { found, add, pipes } = ofLoops(dead, loopsIn(places), open);
	const loops = new Map(found);
	watchSelfPipes(pipes, loops);
	const waits = waitsOf(calls, dead.memory);
	addAwaited(waits, new Set(found.keys()), dead.memory, places, add);
	watchSelfPipes(pipes, found);
	return {
		loops: [...loops.values()],
		all: [...found.values()].sort((a, b) => a.number - b.number),
		reportOthers: (known, report) => {
			const told = new Set([...known, ...found.keys()]);
			reportUnknown(waits, told, report);
			const awaited = new Set(waits.map(({ descriptor }) => descriptor));
			for (const stream of stdioFiles(dead.memory, open))
				if (stream.number > 2 && !told.has(stream.number) && !awaited.has(stream.number)) report(stdioFinding(stream));
		},
	};
}

function ofLoops(
	dead: PartialTask,
	loops: readonly UvLoop[],
	open: OpenObject,
): { readonly found: Map<number, DescriptorGuess>; readonly add: Add; readonly pipes: readonly SelfPipe[] } {
	const found = new Map<number, DescriptorGuess>();
	const add = (deduced: DescriptorGuess): void => {
		const { number } = deduced;
		if (number >= 0 && number < MOST_DESCRIPTORS && !found.has(number)) found.set(number, deduced);
	};
	for (const [i, loop] of loops.entries()) addLoop(loop, `libuv's loop ${i + 1}`, add);
	const lock = loops.length === 0 ? undefined : uvLockPipe(dead.memory, open, loops);
	if (lock !== undefined) addPipe(lock, { flags: 0, why: "libuv's lock around signal handlers", lock: true }, add);
	const poller = goPoller(dead.memory, open);
	if (poller !== undefined) addPoller(poller, add);
	const pipes = selfPipes(dead.memory);
	for (const { read, write } of pipes)
		for (const number of [read, write])
			add({ ...ofLoop, number, what: { kind: "socket", pair: read }, why: "what wakes asyncio's loop" });
	return { found, add, pipes };
}

/** With one self-pipe and one epoll instance, the instance watches the pipe; asyncio's epoll data is the fd. */
function watchSelfPipes(pipes: readonly SelfPipe[], found: Map<number, DescriptorGuess>): void {
	const epolls = [...found.values()].filter(({ what }) => what.kind === "epoll" && what.complete !== true);
	const [pipe, epoll] = [pipes[0], epolls[0]];
	if (pipes.length !== 1 || epolls.length !== 1 || pipe === undefined || epoll?.what.kind !== "epoll") return;
	const { targets } = epoll.what;
	if (targets.some(({ number }) => number === pipe.read)) return;
	const target = { number: pipe.read, events: EPOLLIN, data: BigInt(pipe.read) };
	found.set(epoll.number, { ...epoll, what: { kind: "epoll", targets: [...targets, target] } });
}

const ofLoop = { flags: O.NONBLOCK, closeOnExec: true };

function addLoop({ backend, async, signalPipe, watchers }: UvLoop, name: string, add: Add): void {
	// watchers that are not in epoll yet are added by the loop itself
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

function addPoller({ backend, wake: { read, write }, cookie }: GoPoller, add: Add): void {
	const targets = [{ number: read, events: EPOLLIN, data: cookie }];
	add({ number: backend, what: { kind: "epoll", targets }, flags: 0, closeOnExec: true, why: "Go's poller" });
	const why = "what wakes Go's poller";
	if (write === undefined) add({ ...ofLoop, number: read, what: { kind: "eventfd" }, why });
	else addPipe({ read, write }, { flags: O.NONBLOCK, why }, add);
}

function addPipe(
	{ read, write }: { readonly read: number; readonly write: number },
	{ flags, why, lock }: { readonly flags: number; readonly why: string; readonly lock?: boolean },
	add: Add,
): void {
	const end = (access: number): GuessedKind => ({
		kind: "end",
		pipe: read,
		access,
		...(lock === true ? { lock } : {}),
	});
	add({ number: read, what: end(O.RDONLY), flags, closeOnExec: true, why });
	add({ number: write, what: end(O.WRONLY), flags, closeOnExec: true, why });
}

/** Calls for which only a socket will do, or a file of which nothing is known. */
function reportUnknown(waits: readonly Wait[], known: ReadonlySet<number>, report: (finding: Finding) => void): void {
	const unknown = new Map<number, Wait[]>();
	for (const wait of waits) {
		if (known.has(wait.descriptor)) continue;
		const sleepers = unknown.get(wait.descriptor) ?? [];
		sleepers.push(wait);
		unknown.set(wait.descriptor, sleepers);
	}
	for (const [descriptor, sleepers] of unknown) {
		const [first] = sleepers;
		if (first === undefined) continue;
		const who = `thread ${first.tid}${sleepers.length === 1 ? "" : ` and ${sleepers.length - 1} more`}`;
		const isSocket = /^(?:recv|send|accept|connect)/.test(first.call);
		const what = isSocket ? "a socket, for which there is no stand-in yet" : "a file that a core does not name";
		report(
			loss(
				"descriptor-deduced",
				`descriptor ${descriptor}`,
				`${who} slept in ${first.call} on it: ${what}; the call fails at once`,
			),
		);
	}
}
