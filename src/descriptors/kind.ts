import type { FileEntry } from "../criu/wire/generated/schema.ts";
import type { Fdinfo } from "../proc/fdinfo.ts";
import type { Ask, Look, OpenDescriptor } from "./ask.ts";
import type { DescriptionCommon } from "./description.ts";
import type { BesideEntry, EntryImages, EntryWriter } from "./entries.ts";
import type { HostFile, MadeInput } from "./inputs.ts";
import type { Late } from "./late.ts";
import type { QueueImage } from "./pipe-queue.ts";
import type { FdAllocator, Opening, Slot } from "./steps.ts";
import type { Workshop } from "./workshop.ts";

/** All that is known of one kind of open file description. */
export interface DescriptorKind<D extends DescriptionCommon> {
	readonly images: InImages<D>;
	readonly living: Living<D>;
	readonly making: Making<D>;
	/**
	 * How a descriptor that was made differs from the description, as the end of a sentence about it; `undefined` when it does
	 * not, or when there is nothing to see.
	 */
	differs(description: D, found: FoundDescriptor): string | undefined;
	/** What it has in common with others, mappings among them. */
	shares?(description: D): SharedPart | undefined;
	/** The file that it was opened by, for people. */
	path?(description: D): string | undefined;
	/** What else there is to show of it, for people. */
	remark?(description: D): string | undefined;
}

/** A thing that several descriptions, mappings or processes show. */
export interface SharedPart {
	/** Pipes, named ones, pairs of sockets, shared memory, files without a name, terminals: their ids are apart. */
	readonly of: "pipes" | "fifos" | "pairs" | "objects" | "ghosts" | "terminals";
	readonly id: number;
	/** What whoever shows it must have one inode with. */
	readonly inode?: string;
}

/** From and to CRIU's images. */
export interface InImages<D> {
	/** Types of file entries. */
	readonly types: readonly number[];
	/** @throws NecromancerError ERR_IMAGE_CORRUPT when the entry lacks its part, or names what is not there. */
	from(entry: FileEntry, images: EntryImages): D;
	/** Under the description's id. What images cannot hold is {@link reserved}. */
	to(description: D, writer: EntryWriter): FileEntry;
	/** What CRIU's entry has no place for; {@link from} finds it in {@link EntryImages.beside}. */
	beside?(description: D): BesideEntry | undefined;
	/** The image with the queue of its pipe. */
	readonly queue?: QueueImage;
}

/** From a living process. */
export interface Living<D> {
	/** What its link and its inode tell of it; `undefined` where it is of another kind. */
	see(open: OpenDescriptor, look: Look): Sighting<D> | undefined;
	/** What must be done before fdinfo is read, so that it tells the truth. */
	readonly before?: "count expirations";
}

/** A descriptor that is known to be of a kind. */
export interface Sighting<D> {
	/** What it is, in words, where it cannot be dumped. */
	readonly undumpable?: string;
	/** Its description; `undefined` where it cannot be dumped after all. */
	describe(common: DescriptionCommon, ask: Ask): D | undefined | Promise<D | undefined>;
}

/** To a living process. */
export interface Making<D> {
	/** What it was, in words, where this version cannot open it again. */
	unopenable(description: D): string | undefined;
	/** Makes the first descriptor of a description when it is the turn of its number. */
	readonly open: Open<D> | "with its memory" | "never";
	/** It is made of a file by its name: another file may have that name now. */
	readonly named?: true;
	/** What is done to it when all descriptors are there. @param all by number. */
	finish?(slot: Slot<D>, opening: Opening, all: ReadonlyMap<number, Neighbour>): void;
	/** Numbers that {@link finish} needs for a moment, whoever has them. */
	passing?(description: D): readonly number[];
	/** What it does by itself, set going when the process is whole. */
	arm?(slot: Slot<D>, late: Late): void;
	/** Whether it is only opened there, and something else until then. */
	late?(description: D): boolean;
	/** Every process that has it arms it; only the first where absent. */
	readonly armed?: "by each";
	/** The same, made with no more rights than its user has. */
	unaided?(description: D): D;
	/** The index of the pty that it is an end of, which is made before all else. */
	pty?(description: D): number | undefined;
	/** The files of the host that it is made of. */
	files?(description: D): readonly HostFile[];
	/** The file without a name that it shows, and what the workshop keeps that under. */
	unlinked?(slot: Slot<D>): { readonly ghost: number; readonly key: string } | undefined;
	readonly workshop?: MadeBefore<D>;
}

/** @param own the first slot of each description of this kind, ascending. */
export type Open<D> = (slot: Slot<D>, fds: FdAllocator, own: readonly Slot<D>[]) => void;

/** Made in the workshop, because it takes rights that its user lacks, or is shared. Slots are the first of each description. */
export interface MadeBefore<D> {
	made(slots: readonly Slot<D>[]): readonly MadeInput[];
	make(slots: readonly Slot<D>[], workshop: Workshop): void;
	/** The key of what can wait under the descriptor's own number; `undefined` for what the process makes itself. */
	waits?(slot: Slot<D>): string | undefined;
}

/** Another descriptor of the process. */
export interface Neighbour {
	/** It is made of a file by its name: another file may have that name now. */
	readonly named: boolean;
	/** It has been given /dev/null. */
	readonly null: boolean;
	/** Something else has its number until all processes are there. */
	readonly late?: true;
	readonly closeOnExec: boolean;
}

/** A descriptor of a process that was made. */
export interface FoundDescriptor {
	/** Of /proc/PID/fd. */
	readonly link: string;
	readonly info: Fdinfo;
	/** The id that the process had, and that it has. */
	readonly was: number;
	readonly is: number;
}

/** For kinds that have no path. @param start how /proc/PID/fd names them (proc(5)). */
export const linked =
	(start: string) =>
	(_: unknown, { link }: FoundDescriptor): string | undefined =>
		link.startsWith(start) ? undefined : `is ${link}, expected ${start}`;
