import { u64Bytes } from "../bytes/layout.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { O } from "../linux/open.ts";
import { bytesDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import { addNew, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";

export interface Signalfd extends DescriptionCommon {
	readonly kind: "signalfd";
	/** Signals it accepts, bit n-1 for signal n. */
	readonly mask: bigint;
}

const LINK = "anon_inode:[signalfd]";

export const signalfd: DescriptorKind<Signalfd> = {
	images: {
		types: [FdTypes.SIGNALFD],
		from: (entry, images) => {
			const sgfd = partOf(entry, entry.sgfd, images);
			return { kind: "signalfd", ...commonFrom(sgfd), mask: sgfd.sigmask };
		},
		to: ({ id, flags, mask }, { owner: fown }) => ({
			type: FdTypes.SIGNALFD,
			id,
			sgfd: { id, flags, fown, sigmask: mask },
		}),
	},
	living: {
		see: ({ link, info }) =>
			link === LINK
				? {
						describe: (common) => ({
							kind: "signalfd",
							...common,
							mask: BigInt(`0x${info.field("sigmask") || "0"}`),
						}),
					}
				: undefined,
	},
	making: { unopenable: () => undefined, open },
	differs: linked(LINK),
};

/** SFD_ flags are O_CLOEXEC and O_NONBLOCK under other names. */
function open(slot: Slot<Signalfd>, fds: FdAllocator): void {
	const { number, content } = slot;
	const signals = bytesDatum(`signals of ${number}`, u64Bytes(content.mask));
	const blocking = content.flags & O.NONBLOCK;
	addNew(fds, slot, "signalfd4", (closing) => [-1n, signals, 8n, BigInt(blocking | closing)], `descriptor ${number}`);
	addStatusFlags(fds, BigInt(number), blocking, content.flags);
}
