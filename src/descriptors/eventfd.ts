import { u64Bytes } from "../bytes/layout.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution, note } from "../finding.ts";
import { O } from "../linux/open.ts";
import { bytesDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { commonOfGuess, type Guess, type StandIn, subjectOf } from "./guess.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { addNew, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";

export interface Eventfd extends DescriptionCommon {
	readonly kind: "eventfd";
	readonly counter: bigint;
	/** EFD_SEMAPHORE, where known. */
	readonly semaphore?: boolean;
}

const LINK = "anon_inode:[eventfd]";

export const eventfd: DescriptorKind<Eventfd> = {
	images: {
		types: [FdTypes.EVENTFD],
		from: (entry, images) => {
			const efd = partOf(entry, entry.efd, images);
			const semaphore = images.beside.file(entry.id)?.semaphore === true ? { semaphore: true } : {};
			return { kind: "eventfd", ...commonFrom(efd), counter: efd.counter, ...semaphore };
		},
		to: ({ id, flags, counter, semaphore }, { owner: fown, report, subject }) => {
			if (semaphore === true)
				report(note("not-in-images", subject, "is a semaphore (EFD_SEMAPHORE); criu restore makes a counter of it"));
			return { type: FdTypes.EVENTFD, id, efd: { id, flags, fown, counter } };
		},
		beside: ({ semaphore }) => (semaphore === true ? { semaphore } : undefined),
	},
	living: {
		see: ({ link, info }) =>
			link === LINK
				? {
						describe: (common) => {
							const semaphore = info.field("eventfd-semaphore");
							return {
								kind: "eventfd",
								...common,
								counter: BigInt(`0x${info.field("eventfd-count") || "0"}`),
								...(semaphore === undefined ? {} : { semaphore: semaphore === "1" }),
							};
						},
					}
				: undefined,
	},
	making: { unopenable: () => undefined, open },
	differs: linked(LINK),
};

/** include/uapi/linux/eventfd.h. A read takes one, not all. EFD_ flags are O_CLOEXEC and O_NONBLOCK under other names. */
const EFD_SEMAPHORE = 1;

const LARGEST_INITIAL = 0xffff_ffffn;

function open(slot: Slot<Eventfd>, fds: FdAllocator): void {
	const { counter, flags, semaphore } = slot.content;
	const initial = counter <= LARGEST_INITIAL ? counter : 0n;
	const blocking = flags & O.NONBLOCK;
	const how = blocking | (semaphore === true ? EFD_SEMAPHORE : 0);
	const what = `descriptor ${slot.number}, with what it has counted`;
	addNew(fds, slot, "eventfd2", (closing) => [initial, BigInt(how | closing)], what);
	const number = BigInt(slot.number);
	if (initial !== counter) {
		const value = bytesDatum(`counter of ${slot.number}`, u64Bytes(counter));
		fds.add("write", [number, value, 8n], "more than fits the call", { expect: { exactly: 8n } });
	}
	addStatusFlags(fds, number, blocking, flags);
}

export interface EventfdGuess {
	readonly kind: "eventfd";
}

export const eventfdStandIn = (guess: Guess<EventfdGuess>): StandIn<Eventfd> => ({
	description: { ...commonOfGuess(guess), kind: "eventfd", counter: 0n },
	finding:
		guess.guessed === true
			? caution(
					"descriptor-deduced",
					subjectOf(guess),
					`an eventfd that has counted nothing, as eight bytes were read of it (${guess.why}); a timer or a socket would have been another`,
				)
			: note("descriptor-deduced", subjectOf(guess), `an eventfd that has counted nothing (${guess.why})`),
});
