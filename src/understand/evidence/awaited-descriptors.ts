import { address, plus } from "../../bytes/address.ts";
import type { Range } from "../../bytes/range.ts";
import type { EpollTarget } from "../../forest/files.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { O } from "../../linux/open.ts";
import { EPOLLIN, epollEvent } from "../../linux/poll.ts";
import { type Add, type DescriptorGuess, MOST_DESCRIPTORS } from "./descriptor-guess.ts";
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
	dead: PartialTask,
	places: readonly Range[],
	add: Add,
): void {
	for (const wait of waits) if (EPOLL.includes(wait.call)) addEpoll(wait, dead, add);
	for (const wait of waits) if (isCounter(wait)) add({ ...plainly(wait), what: { kind: "eventfd" }, guessed: true });
	const readers = waits.filter((wait) => isPolled(wait) || (READS.includes(wait.call) && !isCounter(wait)));
	const used = new Set([...known, ...waits.map(({ descriptor }) => descriptor)]);
	const free = readers
		.map(({ descriptor }) => descriptor)
		.filter((it) => it > 2 && !known.has(it) && !used.has(it + 1));
	const pipes = pairsOf(new Set(free), dead.memory, places);
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

const plainly = ({ tid, call, descriptor, forever }: Wait): Omit<DescriptorGuess, "what"> => ({
	...{ number: descriptor, flags: 0, closeOnExec: false },
	why: `thread ${tid} sleeps in ${call} on it`,
	...(forever ? { awaited: true } : {}),
});

function addEpoll(wait: Wait, dead: PartialTask, add: Add): void {
	const targets = lastReported(wait, dead);
	add({ ...plainly(wait), what: { kind: "epoll", targets } });
	for (const { number } of targets)
		add({
			...{ number, flags: O.NONBLOCK, closeOnExec: false },
			what: { kind: "silence" },
			why: `reported last by epoll ${wait.descriptor}`,
		});
}

/** How many events that epoll reported are looked at, and what it can report (EPOLLIN, PRI, OUT, ERR, HUP, RDHUP). */
const MOST_REPORTED = 256n;
const REPORTED = 0x201f;

/**
 * The last events are still in the buffer of `epoll_wait(epfd, events, maxevents, timeout)`; by convention (epoll(7)) their
 * data is the fd.
 */
function lastReported({ tid, descriptor: own }: Wait, { threads, memory }: PartialTask): EpollTarget[] {
	const found = new Map<number, EpollTarget>();
	const { si = 0n, dx = 0n } = threads.find((thread) => thread.tid === tid)?.registers ?? {};
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
