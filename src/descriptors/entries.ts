import { FdTypes, type FileEntry, type FownEntry, type NecromancerFileEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { type Finding, loss } from "../finding.ts";
import { O } from "../linux/open.ts";
import type { OpenNamespace } from "../proc/namespaces.ts";
import type { DescriptionCommon, SignalOwner } from "./description.ts";
import type { Pipe, QueueImage } from "./pipe-queue.ts";
import type { Terminal, TerminalPlace } from "./terminal.ts";
import type { ImageTerminal } from "./tty-images.ts";
import type { UnixMessage } from "./unix-description.ts";

/** What a file entry refers to. */
export interface EntryImages {
	/** What messages call files.img. */
	readonly subject: string;
	/** The process whose table is read, and all that are in the images with it, but for those that have ended. */
	readonly pid: number;
	readonly together: ReadonlySet<number>;
	readonly entries: ReadonlyMap<number, FileEntry>;
	readonly objects: {
		/** A record of memfd.img, where there is one: its name and its object's id. */
		memfd(inode: bigint, by: "descriptor"): { readonly name: string; readonly object: number } | undefined;
	};
	/** What waits in sockets, by the ids of their file entries. */
	readonly packets: ReadonlyMap<number, readonly UnixMessage[]>;
	/** By pipe id. */
	readonly queues: Readonly<Record<QueueImage, ReadonlyMap<number, Omit<Pipe, "id">>>>;
	/** By the ids of file entries. */
	readonly ghosts: {
		ghost(entry: number): { readonly id: number } | undefined;
		directory(entry: number): { readonly id: number } | undefined;
		link(entry: number): string | undefined;
		unlinked(entry: number): boolean;
	};
	readonly beside: { file(id: number): BesideEntry | undefined };
	/** The label of a namespace that the process is in. */
	namespace(name: OpenNamespace): number | undefined;
	/** By the ids of tty-info.img. */
	readonly terminals: () => ReadonlyMap<number, ImageTerminal>;
}

/** What CRIU's entry has no place for, in our own image. */
export type BesideEntry = Partial<Omit<NecromancerFileEntry, "id">>;

/** Where the entry of a description is written, and what it refers to. */
export interface EntryWriter {
	/** files.img: adds an entry, under the lowest id that no description has. */
	add(make: (id: number) => FileEntry): number;
	/** Says that a file entry's path is unlinked, and which ghost has its content. */
	lost(entry: number, ghost: number): void;
	/** The same for a directory or FIFO; false for kinds that cannot be made from the mode alone. */
	lostNode(entry: number, path: string, mode: number): boolean;
	/** Descriptors by which an epoll instance can name what it watches. */
	readonly numbers: ReadonlySet<number>;
	readonly owner: FownEntry;
	/** sk-queues.img: adds what waits in the socket. */
	packet(message: UnixMessage): void;
	/** The memfd.img record of a shared object. */
	inode(object: number): bigint;
	/** The tty-info.img record of an end of a terminal. */
	terminal(place: TerminalPlace, terminal: Terminal): number;
	/** The label of a namespace that all processes are in. */
	namespace(name: OpenNamespace): number;
	/** What messages call the descriptor. */
	readonly subject: string;
	readonly report: (finding: Finding) => void;
}

/** The part of its type. @throws NecromancerError ERR_IMAGE_CORRUPT where it is not there. */
export const partOf = <T>({ id, type }: FileEntry, part: T | undefined, { subject }: EntryImages): T =>
	part ??
	refuse("ERR_IMAGE_CORRUPT", { subject, finding: `file ${id} of type ${type} lacks the part that describes it` });

/** What most parts of a file_entry have in common. */
export interface EntryCommon {
	readonly flags?: number;
	readonly fown?: FownEntry;
}

export function commonFrom({ id, flags = 0, fown }: EntryCommon & { readonly id: number }): DescriptionCommon {
	const owned = fown !== undefined && (fown.pid !== 0 || fown.signum !== 0);
	return {
		id,
		flags: flags & ~O.CLOEXEC,
		...(owned ? { owner: { type: fown.pid_type, pid: fown.pid, signal: fown.signum } } : {}),
	};
}

/** Nobody gets SIGIO: `fown_entry` is required and all zero means unset. */
export const NO_OWNER: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

/** CRIU becomes the user it names to set the owner: the kernel checks later signals against that. */
export const fownEntry = (
	owner: SignalOwner | undefined,
	{ uid, euid }: { readonly uid: number; readonly euid: number },
): FownEntry =>
	owner === undefined ? NO_OWNER : { uid, euid, signum: owner.signal, pid_type: owner.type, pid: owner.pid };

/** How a file was opened: flags, offset, owner of its signals. */
export interface EntryOpening {
	readonly flags: number;
	readonly position: bigint;
	readonly owner: FownEntry;
}

/** An entry that no restorer opens by itself, for what images cannot hold, so that the fd number stays reserved. */
export function reserved(id: number, what: string, { owner: fown, subject, report }: EntryWriter): FileEntry {
	report(loss("not-in-images", subject, `${what}: its number is kept, to be given something else`));
	return { type: FdTypes.EXT, id, ext: { id, fown } };
}
