import { FdTypes } from "../criu/wire/generated/schema.ts";
import { O } from "../linux/open.ts";
import { cellDatum } from "../program/data.ts";
import type { Ask, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { nowhere } from "./file.ts";
import type { DescriptorKind } from "./kind.ts";
import type { Late } from "./late.ts";
import { addDuplicate, addNew, type FdAllocator, type Slot } from "./steps.ts";
import { keepAs, type Workshop } from "./workshop.ts";

/** A process by a descriptor (pidfd_open(2)). */
export interface Pidfd extends DescriptionCommon {
	readonly kind: "pidfd";
	/** Its id; absent where it has ended and been waited for. */
	readonly process?: number;
	/** Equal where the process is the same. */
	readonly inode: number;
}

/** With a file system of its own since Linux 6.9 (fs/pidfs.c), which some releases name it after. */
const LINK = /^anon_inode:\[?pidfd|^pidfd:/;

/** `PIDFD_THREAD` (include/uapi/linux/pidfd.h). */
const OF_A_THREAD = O.EXCL;

/** What CRIU writes for a process that is gone. */
const GONE = -1;

export const pidfd: DescriptorKind<Pidfd> = {
	images: {
		types: [FdTypes.PIDFD],
		from: (entry, images) => {
			const part = partOf(entry, entry.pidfd, images);
			const { nspid, ino: inode } = part;
			const common = commonFrom(part);
			return {
				kind: "pidfd",
				...common,
				flags: common.flags | O.RDWR,
				inode,
				...(nspid <= 0 ? {} : { process: nspid }),
			};
		},
		// what pidfd_open(2) takes of them, and no more
		to: ({ id, flags, process: nspid = GONE, inode: ino }, { owner: fown }) => ({
			...{ type: FdTypes.PIDFD, id, pidfd: { id, ino, flags: flags & ~O.RDWR, nspid, fown } },
		}),
	},
	living: {
		see: (open) => {
			if (!LINK.test(open.link)) return undefined;
			if ((open.info.flags & OF_A_THREAD) !== 0) return nowhere("a pidfd of a thread");
			return { describe: (common, ask) => describe(open, common, ask) };
		},
	},
	making: {
		unopenable: ({ flags }) => ((flags & OF_A_THREAD) !== 0 ? "a pidfd of a thread" : undefined),
		open,
		armed: "by each",
		late: ({ process }) => process !== undefined,
		arm,
		workshop: {
			made: (slots) => each(slots).map(({ content: { inode } }) => ({ key: endedOf(inode), name: endedOf(inode) })),
			make: (slots, workshop) => {
				for (const { content } of each(slots)) makeEnded(content, workshop);
			},
		},
	},
	differs: () => undefined,
	remark: ({ process }) => (process === undefined ? "of a process that has ended" : `of process ${process}`),
};

function describe(open: OpenDescriptor, common: DescriptionCommon, { comesAlong }: Ask): Pidfd | undefined {
	const { info, stat } = open;
	const pid = Number(info.field("Pid") ?? GONE);
	if (pid > 0 && !comesAlong(open, pid)) return undefined;
	// CRIU keeps the lower half of it
	const inode = Number(BigInt.asUintN(32, stat.ino));
	return { kind: "pidfd", ...common, inode, ...(pid > 0 ? { process: pid } : {}) };
}

/** The first of each process that is gone. */
function each(slots: readonly Slot<Pidfd>[]): readonly Slot<Pidfd>[] {
	const firsts = new Map<number, Slot<Pidfd>>();
	for (const slot of slots)
		if (slot.content.process === undefined && !firsts.has(slot.content.inode)) firsts.set(slot.content.inode, slot);
	return [...firsts.values()];
}

const endedOf = (inode: number): string => `process ${inode}, which has ended`;

/** One that ends at once is as good as the one that is gone. */
function makeEnded({ inode }: Pidfd, workshop: Workshop): void {
	const { add, inputs } = workshop;
	const what = endedOf(inode);
	const landed = { valueOf: cellDatum(`pidfd of ${what}`) };
	workshop.makeEnded(what, landed.valueOf);
	keepAs(add, landed, inputs.made(what).number, what);
}

/** Of the living, something else for the time being: the process may not be there yet. */
function open(slot: Slot<Pidfd>, fds: FdAllocator): void {
	const { number, closeOnExec, content } = slot;
	const { process, inode } = content;
	if (process !== undefined) {
		addNew(
			fds,
			slot,
			"eventfd2",
			(closing) => [0n, BigInt(closing)],
			`descriptor ${number}, until process ${process} is there`,
		);
		return;
	}
	const input = fds.inputs.made(endedOf(inode));
	addDuplicate(fds, { input }, number, closeOnExec, `descriptor ${number}, a pidfd of a process that has ended`);
}

/** When all processes are there. */
function arm({ content }: Slot<Pidfd>, { add, idOf, numbers }: Late): void {
	const { process, flags } = content;
	if (process === undefined) return;
	const landed = { valueOf: cellDatum(`pidfd of process ${process}`) };
	add("pidfd_open", [idOf(process), BigInt(flags & O.NONBLOCK)], `process ${process}`, { save: landed.valueOf });
	for (const { number, closeOnExec } of numbers)
		addDuplicate({ add }, landed, number, closeOnExec, `descriptor ${number}, a pidfd of process ${process}`);
	add("close", [landed], `process ${process} is open as it is needed`);
}
