import { address, plus } from "../../bytes/address.ts";
import type { Struct } from "../../bytes/layout.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { epollEvent } from "../../linux/poll.ts";
import type { BlockingCall } from "./blocking-calls.ts";
import { waitsOf } from "./waits.ts";

/** How many events are looked at, and what epoll can report (EPOLLIN, PRI, OUT, ERR, HUP, RDHUP). */
const MOST = 256n;
const REPORTED = 0x201f;

/**
 * The events that epoll reported last, as far as they look like events: they are still in the buffer of
 * `epoll_wait(epfd, events, maxevents, timeout)` in which a thread slept.
 */
export function* reportedEvents(
	{ registers }: BlockingCall,
	memory: PartialMemory,
): Generator<Struct<typeof epollEvent>> {
	const { si, dx } = registers;
	for (let i = 0n; i < dx && i < MOST; i++) {
		const bytes = memory.read(plus(address(si), i * BigInt(epollEvent.size)), epollEvent.size);
		if (bytes === undefined) return;
		const event = epollEvent.decode(bytes);
		if (event.events === 0 || (event.events & ~REPORTED) !== 0) return;
		yield event;
	}
}

/** Their data words, by the number of the epoll descriptor. Each was the word of something that was watched. */
export function reportedWords(
	calls: readonly BlockingCall[],
	memory: PartialMemory,
): ReadonlyMap<number, ReadonlySet<bigint>> {
	const found = new Map<number, Set<bigint>>();
	for (const wait of waitsOf(calls, memory)) {
		if (!wait.call.startsWith("epoll_")) continue;
		const words = found.get(wait.descriptor) ?? new Set();
		found.set(wait.descriptor, words);
		for (const { data } of reportedEvents(wait, memory)) words.add(data);
	}
	return found;
}
