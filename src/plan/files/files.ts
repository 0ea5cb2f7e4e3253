import type { Task } from "../../task/task.ts";
import type { Circumstances } from "../context.ts";
import { addEpollTargets, openEpoll } from "./epoll.ts";
import { addDuplicate, deskOf } from "./fd-allocator.ts";
import { makeGhosts } from "./ghosts.ts";
import { openByName, openFile, openForCaller, placeForCaller } from "./named.ts";
import { pipesOn } from "./pipes.ts";
import { type FilePolicy, highestNumber, type Slot, slotsOf } from "./slots.ts";
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
export function planFiles({ identity, files, memory }: Task, around: Circumstances, policy: FilePolicy): void {
	const { firstWorkFd, firstSpareFd, draft, ghosts } = around;
	const desk = deskOf(around);
	// memfds come with the memory that they show
	const slots = slotsOf(files, policy, draft.report).filter(({ content }) => content.kind !== "memfd");
	const highest = highestNumber(files, policy);
	if (highest >= firstWorkFd) throw new RangeError(`descriptor ${highest} is not below ${firstWorkFd}`);
	desk.add("close_range", [0n, BigInt(firstWorkFd - 1), 0n], "the agent's descriptors");
	const byCaller = openForCaller(desk, slots);
	if (ghosts !== undefined) makeGhosts(desk, memory, ghosts, policy);

	const firsts = new Map<string, Slot>();
	for (const slot of slots) if (!firsts.has(slot.key)) firsts.set(slot.key, slot);
	const pipes = pipesOn(desk, [...firsts.values()]);
	const pairs = socketPairsOn(desk, [...firsts.values()]);
	for (const slot of slots) {
		const { number, closeOnExec, key, content } = slot;
		const first = firsts.get(key) ?? slot;
		desk.reach(number);
		if (first !== slot) {
			addDuplicate(desk, BigInt(first.number), number, closeOnExec, `${number} and ${first.number} are one`);
			continue;
		}
		const waiting = byCaller.get(key);
		if (waiting !== undefined) {
			placeForCaller(desk, slot, waiting);
			continue;
		}
		switch (content.kind) {
			case "pipe":
				pipes.place({ ...slot, content });
				break;
			case "socket-pair":
				pairs.place({ ...slot, content });
				break;
			case "fifo":
				pipes.hold(content);
				openByName(desk, slot, content.file.path, content.flags);
				break;
			case "file":
				openFile(desk, slot, content, identity.pid);
				break;
			case "substitute":
				openByName(desk, slot, content.path, content.flags);
				break;
			case "eventfd":
				openEventfd(desk, slot, content);
				break;
			case "epoll":
				openEpoll(desk, slot, content);
				break;
			case "signalfd":
				openSignalfd(desk, slot, content);
				break;
			case "timerfd":
				openTimerfd(desk, slot, content);
				break;
		}
	}
	around.stand.asCaller("files");
	addEpollTargets(desk, new Map(slots.map((slot) => [slot.number, slot])));
	desk.add(
		"close_range",
		[BigInt(firstSpareFd + (ghosts?.size ?? 0)), LAST_DESCRIPTOR, 0n],
		"what was only needed meanwhile",
	);
}
