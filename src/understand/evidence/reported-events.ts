import { address, plus } from "../../bytes/address.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { epollEvent } from "../../linux/poll.ts";
import { waitsOn } from "./waits.ts";

/** How many events are looked at, and what epoll can report (EPOLLIN, PRI, OUT, ERR, HUP, RDHUP). */
const MOST = 256n;
const REPORTED = 0x201f;

/**
 * The data words of the events that epoll reported last, by the number of the epoll descriptor: they are still in the buffer of
 * `epoll_wait(epfd, events, maxevents, timeout)` in which a thread slept. Each was the word of something that was watched.
 */
export function reportedWords({ threads, memory }: PartialTask): ReadonlyMap<number, ReadonlySet<bigint>> {
	const found = new Map<number, Set<bigint>>();
	for (const thread of threads)
		for (const { call, descriptor } of waitsOn(thread, memory)) {
			if (!call.startsWith("epoll_")) continue;
			const words = found.get(descriptor) ?? new Set();
			found.set(descriptor, words);
			const { si, dx } = thread.registers;
			for (let i = 0n; i < dx && i < MOST; i++) {
				const bytes = memory.read(plus(address(si), i * BigInt(epollEvent.size)), epollEvent.size);
				if (bytes === undefined) break;
				const { events, data } = epollEvent.decode(bytes);
				if (events === 0 || (events & ~REPORTED) !== 0) break;
				words.add(data);
			}
		}
	return found;
}
