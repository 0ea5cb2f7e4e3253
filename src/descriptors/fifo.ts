import { u32 } from "../bytes/layout.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { caution } from "../finding.ts";
import { ACCESS, AT_FDCWD, F } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { S_IFIFO, S_IFMT } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import type { Arg } from "../program/args.ts";
import { cellDatum, pathDatum, spaceDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { looksAlive, looksOf, regularFile } from "./file.ts";
import type { DescriptorKind } from "./kind.ts";
import type { MappedFile } from "./mapped-file.ts";
import { byOf, nodeOf, openByName, openNode } from "./node.ts";
import { pipeEnds } from "./pipe.ts";
import { fillPipe, type Pipe } from "./pipe-queue.ts";
import type { FdAllocator, Slot } from "./steps.ts";
import { keepAs, type Workshop } from "./workshop.ts";

/** A named pipe. */
export interface Fifo extends DescriptionCommon {
	readonly kind: "fifo";
	readonly file: MappedFile;
	/** It had lost its name when it was dumped. */
	readonly unlinked?: boolean;
	readonly pipe: Pipe;
}

export const fifo: DescriptorKind<Fifo> = {
	images: {
		types: [FdTypes.FIFO],
		from: (entry, images) => {
			const { id } = entry;
			const { regf_id = 0, pipe_id } = partOf(entry, entry.fifo, images);
			const reg =
				images.entries.get(regf_id)?.reg ??
				refuse("ERR_IMAGE_CORRUPT", {
					subject: images.subject,
					finding: `fifo ${id} names file ${regf_id}`,
					expectation: "which it does not hold",
				});
			const unlinked = images.ghosts.unlinked(reg.id) ? { unlinked: true } : {};
			const pipe: Pipe = { id: pipe_id, ...images.queues["fifo-data"].get(pipe_id) };
			return { kind: "fifo", ...commonFrom({ ...reg, id }), file: looksOf(reg), ...unlinked, pipe };
		},
		to: ({ id, flags, file, unlinked, pipe }, { add, lostNode, owner }) => {
			const regf_id = add((fresh) => regularFile(fresh, file, { flags, position: 0n, owner }));
			const permissions = (file.mode ?? OWNERS_ONLY) & PERMISSIONS;
			if (unlinked === true) lostNode(regf_id, file.path, S_IFIFO | permissions);
			return { type: FdTypes.FIFO, id, fifo: { id, pipe_id: pipe.id, regf_id } };
		},
		queue: "fifo-data",
	},
	living: {
		see: (open, look) => {
			const { link, stat } = open;
			if (!link.startsWith("/") || (Number(stat.mode) & S_IFMT) !== S_IFIFO) return undefined;
			const unlinked = !look.leadsTo(link, stat);
			const path = unlinked ? withoutDeleted(link).path : link;
			return {
				describe: async (common, ask) => ({
					...{ kind: "fifo", ...common, file: looksAlive(path, open), ...(unlinked ? { unlinked } : {}) },
					pipe: await ask.pipe(open),
				}),
			};
		},
	},
	making: {
		unopenable: () => undefined,
		open,
		// both ends of a FIFO are opened while its content is written
		files: ({ file, unlinked }) =>
			unlinked === true ? [] : [{ looks: file, use: "node", access: ACCESS.R_OK | ACCESS.W_OK, apart: true }],
		workshop: {
			made: (slots) => each(slots).map(({ content }) => ({ key: bothOf(content), name: content.file.path })),
			make: (slots, workshop) => {
				for (const slot of each(slots)) hold(slot, workshop);
			},
		},
	},
	differs: () => undefined,
	shares: ({ pipe }) => ({ of: "fifos", id: pipe.id }),
	path: ({ file }) => file.path,
};

const OWNERS_ONLY = 0o600;
const PERMISSIONS = 0o7777;

/** The first of each FIFO. */
function each(slots: readonly Slot<Fifo>[]): readonly Slot<Fifo>[] {
	const firsts = new Map<number, Slot<Fifo>>();
	for (const slot of slots) if (!firsts.has(slot.content.pipe.id)) firsts.set(slot.content.pipe.id, slot);
	return [...firsts.values()];
}

/** What the workshop keeps it under. */
const bothOf = ({ pipe }: Fifo): string => `both ends of FIFO ${pipe.id}`;

function open(slot: Slot<Fifo>, fds: FdAllocator): void {
	const { file, flags, unlinked } = slot.content;
	if (unlinked !== true) {
		openNode(fds, slot, file.path, flags);
		return;
	}
	fds.actor.asUser();
	const { number } = fds.inputs.made(bothOf(slot.content));
	openByName(fds, slot, pathOfDescriptor(number), flags, `descriptor ${slot.number}, ${file.path}, deleted`);
}

/** Open in both ways, so that no end waits for its counterpart. */
function hold(slot: Slot<Fifo>, workshop: Workshop): void {
	const { file, pipe, unlinked } = slot.content;
	const { add, inputs, report } = workshop;
	const both = bothOf(slot.content);
	const landed: Arg = { valueOf: cellDatum(both) };
	const openBoth = (number: number): void => {
		const path = pathDatum(`path of FIFO ${pipe.id}`, pathOfDescriptor(number));
		add(
			"openat",
			[AT_FDCWD, path, BigInt(O.RDWR | O.NONBLOCK | O.NOCTTY | O.CLOEXEC)],
			"both ends of a FIFO, so that no end waits for the other",
			{ save: landed.valueOf },
		);
	};
	if (unlinked === true) {
		report(caution("replaced", `${file.path}, deleted`, "was a FIFO; it is a pipe now, which never had a name"));
		openPipe(slot.content, workshop, openBoth);
	} else openBoth(nodeOf(file.path, workshop, { by: byOf(slot) }).number);
	fillPipe(workshop, pipe, landed, "fifo");
	keepAs(add, landed, inputs.made(both).number, both);
}

/**
 * A pipe does what a FIFO does that nobody can open by name any more, and while it is made nobody can put another in its place.
 */
function openPipe({ pipe, file }: Fifo, { add, actor, behind }: Workshop, openBoth: (number: number) => void): void {
	const ends = spaceDatum(`ends of FIFO ${pipe.id}`, pipeEnds.size, 4);
	const [low, high] = [{ valueOf: ends }, { valueOf: { ...ends, offset: u32.size } }];
	actor.asUser();
	add("pipe2", [ends, BigInt(O.CLOEXEC)], `FIFO ${pipe.id}, without a name`);
	const permissions = BigInt((file.mode ?? OWNERS_ONLY) & PERMISSIONS);
	add("fchmod", [low, permissions], "who may open it by way of /proc");
	const kept = BigInt(behind);
	add("fcntl", [low, BigInt(F.DUPFD_CLOEXEC), kept], `FIFO ${pipe.id} has a name in /proc`, {
		expect: { exactly: kept },
	});
	openBoth(behind);
	for (const end of [low, high, kept]) add("close", [end], `FIFO ${pipe.id} is open in both ways`);
}
