import type { Task } from "../../forest/task.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { addEpollTargets, openEpoll } from "./epoll.ts";
import { addDuplicate, fdAllocator } from "./fd-allocator.ts";
import { openFile, openNode } from "./named.ts";
import { placePipeEnd } from "./pipes.ts";
import { type FdSlot, type FilePolicy, highestNumber, slotsOf } from "./slots.ts";
import { socketPairsOn } from "./socket-pairs.ts";
import { openEventfd, openSignalfd, openTimerfd } from "./special.ts";

export { type FilePolicy, highestNumber } from "./slots.ts";

const LAST_DESCRIPTOR = 0xffff_ffffn;

/**
 * Opens what the dead process had open, under its numbers. Each description is made once and duplicated; the numbers come in
 * ascending order, so nearly all of it lands where it belongs.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for descriptors that cannot be opened and have no substitute.
 */
export function planFiles({ identity, files }: Task, context: Context, policy: FilePolicy): Part {
	const { firstWorkFd, firstSpareFd, draft, inputs } = context;
	const fds = fdAllocator(context);
	// memfds come with the memory that they show
	const slots = slotsOf(files, policy, draft.report).filter(({ content }) => content.kind !== "memfd");
	const highest = highestNumber(files, policy);
	if (highest >= firstWorkFd) throw new RangeError(`descriptor ${highest} is not below ${firstWorkFd}`);
	for (const [from, to] of gapsBetween(
		inputs.placed.map(({ number }) => number),
		firstWorkFd,
	))
		fds.add("close_range", [BigInt(from), BigInt(to - 1), 0n], "the agent's descriptors");

	const firsts = new Map<string, FdSlot>();
	for (const slot of slots) if (!firsts.has(slot.key)) firsts.set(slot.key, slot);
	const pairs = socketPairsOn(fds, [...firsts.values()]);
	for (const slot of slots) {
		const { number, closeOnExec, key, content } = slot;
		const first = firsts.get(key) ?? slot;
		fds.goTo(number);
		if (first !== slot) {
			addDuplicate(fds, BigInt(first.number), number, closeOnExec, `${number} and ${first.number} are one`);
			continue;
		}
		switch (content.kind) {
			case "pipe":
				placePipeEnd(fds, slot, content);
				break;
			case "socket-pair":
				pairs.place({ ...slot, content });
				break;
			case "fifo":
				openNode(fds, slot, content.file.path, content.flags);
				break;
			case "file":
				openFile(fds, slot, content, identity.pid);
				break;
			case "substitute":
				openNode(fds, slot, content.path, content.flags);
				break;
			case "eventfd":
				openEventfd(fds, slot, content);
				break;
			case "epoll":
				openEpoll(fds, slot, content);
				break;
			case "signalfd":
				openSignalfd(fds, slot, content);
				break;
			case "timerfd":
				openTimerfd(fds, slot, content);
				break;
		}
	}
	context.actor.asCaller("files");
	addEpollTargets(fds, new Map(slots.map((slot) => [slot.number, slot])));
	fds.add("close_range", [BigInt(firstSpareFd), LAST_DESCRIPTOR, 0n], "what was only needed meanwhile");
	return context.draft.made();
}

/** The stretches of 0 … `end` - 1 that have none of some numbers in them: where each begins, and the number behind it. */
function gapsBetween(numbers: readonly number[], end: number): (readonly [from: number, to: number])[] {
	const bounds = [-1, ...[...numbers].sort((a, b) => a - b), end];
	return bounds.slice(1).flatMap((to, i) => {
		const from = (bounds[i] ?? -1) + 1;
		return from < to ? [[from, to] as const] : [];
	});
}
