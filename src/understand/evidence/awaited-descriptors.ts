import type { Range } from "../../bytes/range.ts";
import type { EpollTarget } from "../../descriptors/epoll.ts";
import type { DescriptorGuess } from "../../descriptors/stand-ins.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { O } from "../../linux/open.ts";
import { EPOLLIN } from "../../linux/poll.ts";
import { type Add, MOST_DESCRIPTORS } from "./descriptor-guess.ts";
import { reportedEvents } from "./reported-events.ts";
import { pairsOf } from "./search.ts";
import type { Wait } from "./waits.ts";

const READS: readonly string[] = ["read", "readv"];
const WRITES: readonly string[] = ["write", "writev"];
const EPOLL: readonly string[] = ["epoll_wait", "epoll_pwait", "epoll_pwait2"];
const POLLS: readonly string[] = ["poll", "ppoll", "select", "pselect6"];

/** Size of a read(2) from eventfd or timerfd, bytes; reads from pipes have other sizes. */
const COUNTER = 8n;

/**
 * Guesses fds from the system calls that threads were blocked in. A read of 8 bytes means an eventfd. Any other fd n that is
 * read or polled is a pipe's reading end if memory holds n and n + 1 side by side, as pipe(2) fills `int ends[2]`, and n + 1 is
 * not used otherwise.
 *
 * @param known fds whose kind is known already.
 */
export function addAwaited(
	waits: readonly Wait[],
	known: ReadonlySet<number>,
	memory: PartialMemory,
	places: readonly Range[],
	add: Add,
): void {
	for (const wait of waits) if (EPOLL.includes(wait.call)) addEpoll(wait, memory, add);
	for (const wait of waits) if (isCounter(wait)) add({ ...plainly(wait), what: { kind: "eventfd" }, guessed: true });
	const readers = waits.filter((wait) => isPolled(wait) || (READS.includes(wait.call) && !isCounter(wait)));
	const used = new Set([...known, ...waits.map(({ descriptor }) => descriptor)]);
	const free = readers
		.map(({ descriptor }) => descriptor)
		.filter((it) => it > 2 && !known.has(it) && !used.has(it + 1));
	const pipes = pairsOf(new Set(free), memory, places);
	for (const wait of readers) {
		const { descriptor } = wait;
		const common = { ...plainly(wait), flags: isPolled(wait) ? O.NONBLOCK : 0 };
		if (!pipes.has(descriptor)) {
			add({ ...common, what: { kind: "silence" } });
			continue;
		}
		add({ ...common, what: { kind: "end", pipe: descriptor, access: O.RDONLY } });
		add({
			...{ number: descriptor + 1, flags: 0, closeOnExec: false },
			what: { kind: "end", pipe: descriptor, access: O.WRONLY },
			why: `beside ${descriptor} in memory, as pipe(2) puts them`,
		});
	}
	for (const wait of waits) if (WRITES.includes(wait.call)) add({ ...plainly(wait), what: { kind: "silence" } });
}

const isCounter = ({ call, count }: Wait): boolean => READS.includes(call) && count === COUNTER;

/** A polled fd is usually non-blocking: it is read until EAGAIN. */
const isPolled = ({ call }: Wait): boolean => POLLS.includes(call);

const plainly = ({ tid, call, descriptor, forever, handler }: Wait): Omit<DescriptorGuess, "what"> => ({
	...{ number: descriptor, flags: 0, closeOnExec: false },
	why: `thread ${tid} ${handler === undefined ? "sleeps" : "slept, when a handler was called,"} in ${call} on it`,
	...(forever ? { awaited: true } : {}),
});

function addEpoll(wait: Wait, memory: PartialMemory, add: Add): void {
	const targets = lastReported(wait, memory);
	add({ ...plainly(wait), what: { kind: "epoll", targets } });
	for (const { number } of targets)
		add({
			...{ number, flags: O.NONBLOCK, closeOnExec: false },
			what: { kind: "silence" },
			why: `reported last by epoll ${wait.descriptor}`,
			past: true,
		});
}

/** By convention (epoll(7)) the data of an event is the fd. */
function lastReported(wait: Wait, memory: PartialMemory): EpollTarget[] {
	const found = new Map<number, EpollTarget>();
	for (const { data } of reportedEvents(wait, memory)) {
		const number = Number(data);
		if (number <= 2 || number >= MOST_DESCRIPTORS || number === wait.descriptor) break;
		found.set(number, { number, events: EPOLLIN, data });
	}
	return [...found.values()];
}
