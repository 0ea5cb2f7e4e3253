import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { ACCESS, AT_FDCWD } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { S_IFIFO, S_IFMT } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import type { Arg } from "../program/args.ts";
import { cellDatum, pathDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { looksAlive, looksOf, nowhere, regularFile } from "./file.ts";
import type { DescriptorKind } from "./kind.ts";
import type { MappedFile } from "./mapped-file.ts";
import { byOf, nodeOf, openNode } from "./node.ts";
import { fillPipe, type Pipe } from "./pipe-queue.ts";
import type { Slot } from "./steps.ts";
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
			if (!look.leadsTo(link, stat)) return nowhere(`the deleted FIFO ${withoutDeleted(link).path}`);
			return {
				describe: async (common, ask) => ({
					...{ kind: "fifo", ...common, file: looksAlive(link, open) },
					pipe: await ask.pipe(open),
				}),
			};
		},
	},
	making: {
		unopenable: ({ unlinked, file }) => (unlinked === true ? `the deleted FIFO ${file.path}` : undefined),
		open: (slot, fds) => openNode(fds, slot, slot.content.file.path, slot.content.flags),
		// both ends of a FIFO are opened while its content is written
		files: ({ file }) => [{ looks: file, use: "node", access: ACCESS.R_OK | ACCESS.W_OK, apart: true }],
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

/** Open in both ways, so that no end waits for its counterpart. */
function hold(slot: Slot<Fifo>, workshop: Workshop): void {
	const { file, pipe } = slot.content;
	const { add, inputs } = workshop;
	const node = nodeOf(file.path, workshop, { by: byOf(slot) });
	const path = pathDatum(`path of FIFO ${pipe.id}`, pathOfDescriptor(node.number));
	const both = bothOf(slot.content);
	const landed: Arg = { valueOf: cellDatum(both) };
	add(
		"openat",
		[AT_FDCWD, path, BigInt(O.RDWR | O.NONBLOCK | O.NOCTTY | O.CLOEXEC)],
		"both ends of a FIFO, so that no end waits for the other",
		{ save: landed.valueOf },
	);
	fillPipe(workshop, pipe, landed, "fifo");
	keepAs(add, landed, inputs.made(both).number, both);
}
