import { loss } from "../../finding.ts";
import type { Epoll } from "../../forest/files.ts";
import { EPERM } from "../../linux/errno.ts";
import { EPOLL_CTL_ADD, epollEvent } from "../../linux/poll.ts";
import { bytesDatum } from "../../program/data.ts";
import type { StepOptions } from "../part.ts";
import { addNew, addStatusFlags, type FdAllocator } from "./fd-allocator.ts";
import type { FdSlot } from "./slots.ts";

/** Without what it watches: that is added when all descriptors are there. */
export function openEpoll(fds: FdAllocator, slot: FdSlot, { flags }: Epoll): void {
	addNew(fds, slot, "epoll_create1", (closing) => [BigInt(closing)], `descriptor ${slot.number}`);
	addStatusFlags(fds, BigInt(slot.number), 0, flags);
}

/** @param slots all, by number. */
export function addEpollTargets(fds: FdAllocator, slots: ReadonlyMap<number, FdSlot>): void {
	const { draft } = fds.context;
	const done = new Set<string>();
	for (const { number, key, content } of slots.values()) {
		if (content.kind !== "epoll" || done.has(key)) continue;
		done.add(key);
		const watched = new Set<number>();
		for (const target of content.targets) {
			const slot = slots.get(target.number);
			const lost = (why: string): void =>
				draft.report(loss("epoll", `epoll descriptor ${number}`, `no longer watches ${target.number}, ${why}`));
			if (slot === undefined) {
				// the number was closed while a duplicate kept the file: it is watched on (epoll(7)), but cannot be added without one
				lost("which is not open");
				continue;
			}
			if (watched.has(target.number)) {
				lost("which stands for two files");
				continue;
			}
			watched.add(target.number);
			if (slot.content.kind === "substitute" && slot.content.path === "/dev/null") {
				lost("which is /dev/null now");
				continue;
			}
			const event = bytesDatum(
				`event of ${target.number} for ${number}`,
				epollEvent.encode({ events: target.events, data: target.data }),
			);
			// what has a name may be one that cannot be watched: another file took the place, or the number
			const named = slot.content.kind === "substitute" || slot.content.kind === "file";
			const options: StepOptions = named ? { expect: { successOr: EPERM } } : {};
			fds.add(
				"epoll_ctl",
				[BigInt(number), BigInt(EPOLL_CTL_ADD), BigInt(target.number), event],
				`${number} watches ${target.number}`,
				options,
			);
		}
	}
}
