import type { Extent } from "../bytes/extent.ts";
import type { FileIdentity, MappedFile } from "./file-identity.ts";

/** What a process has open, and where its paths start. */
export interface Files {
	/** Ascending by number. */
	readonly descriptors: readonly Descriptor[];
	/** Set where other processes have the same descriptor table (CLONE_FILES): equal numbers are one table. */
	readonly table?: number;
	/** As seen from the root of the mount namespace, not from `root`. */
	readonly cwd?: string;
	readonly root?: string;
	readonly umask?: number;
	/** Identities of its files at the dump, by path; only from images whose writers are trusted. */
	readonly identities?: ReadonlyMap<string, FileIdentity>;
}

export interface Descriptor {
	readonly number: number;
	readonly closeOnExec: boolean;
	readonly description: Description;
}

/** What a descriptor refers to: an open file description (open(2)). */
export type Description =
	| OpenFile
	| PipeEnd
	| SocketPairEnd
	| Fifo
	| Eventfd
	| Epoll
	| Signalfd
	| Timerfd
	| MemfdDescription
	| OtherDescription;

interface DescriptionCommon {
	/** Descriptors with equal ids share one description: its offset, its flags. */
	readonly id: number;
	/** O_ flags, O_CLOEXEC aside. */
	readonly flags: number;
	/** Who gets SIGIO (fcntl(2), F_SETOWN_EX, F_SETSIG). Absent when nobody was ever named. */
	readonly owner?: SignalOwner;
}

export interface SignalOwner {
	/** F_OWNER_ number. */
	readonly type: number;
	/** A thread, process or process group; 0 for none. */
	readonly pid: number;
	/** Sent instead of SIGIO; 0 for SIGIO. */
	readonly signal: number;
}

/** A regular file, a directory or a device, reached by its name; and how it looked. */
export interface OpenFile extends DescriptionCommon, MappedFile {
	readonly kind: "file";
	/** Bytes; a directory's cookie. */
	readonly position: bigint;
	/** Its offset was the end of the file, and will be the end at the restore. */
	readonly atEnd?: true;
	/** It had lost its name when it was dumped. */
	readonly unlinked: boolean;
	/** Id of the `GhostFile`, in the task's memory, that has its content; absent where nobody saved it. */
	readonly ghost?: number;
}

/** The flags say which end. */
export interface PipeEnd extends DescriptionCommon {
	readonly kind: "pipe";
	readonly pipe: Pipe;
}

/** One of two connected unix stream sockets without names, of which the process has both, and in which nothing waits. */
export interface SocketPairEnd extends DescriptionCommon {
	readonly kind: "socket-pair";
	/** Ends with equal numbers belong together. */
	readonly pair: number;
}

export interface Pipe {
	/** Ends with equal ids belong together. */
	readonly id: number;
	/** Bytes it can hold (F_SETPIPE_SZ), where known. */
	readonly capacity?: number;
	/** What waits in it to be read. */
	readonly content?: Extent;
}

/** A named pipe. */
export interface Fifo extends DescriptionCommon {
	readonly kind: "fifo";
	readonly file: MappedFile;
	/** It had lost its name when it was dumped. */
	readonly unlinked?: boolean;
	readonly pipe: Pipe;
}

export interface Eventfd extends DescriptionCommon {
	readonly kind: "eventfd";
	readonly counter: bigint;
	/** EFD_SEMAPHORE, where known. */
	readonly semaphore?: boolean;
}

export interface Epoll extends DescriptionCommon {
	readonly kind: "epoll";
	readonly targets: readonly EpollTarget[];
}

export interface EpollTarget {
	/** The descriptor it watches, by number. */
	readonly number: number;
	/** EPOLL flags. */
	readonly events: number;
	/** The program's cookie. */
	readonly data: bigint;
}

export interface Signalfd extends DescriptionCommon {
	readonly kind: "signalfd";
	/** Signals it accepts, bit n-1 for signal n. */
	readonly mask: bigint;
}

export interface Timerfd extends DescriptionCommon {
	readonly kind: "timerfd";
	readonly clock: number;
	/** Expirations not read yet. */
	readonly ticks: bigint;
	/** TFD_TIMER_ flags it was set with; `remaining` is relative all the same. */
	readonly settings: number;
	/** Nanoseconds. */
	readonly remaining: bigint;
	readonly interval: bigint;
}

export interface MemfdDescription extends DescriptionCommon {
	readonly kind: "memfd";
	readonly name: string;
	/** Id of the `SharedObject` behind it, in the task's memory; mappings may show the same. */
	readonly object: number;
	/** Bytes. */
	readonly position: bigint;
}

/** Kinds of which nothing but the kind is known. */
export interface OtherDescription extends DescriptionCommon {
	readonly kind:
		| "inet-socket"
		| "unix-socket"
		| "packet-socket"
		| "netlink-socket"
		| "inotify"
		| "fanotify"
		| "tty"
		| "namespace"
		| "tun"
		| "external"
		| "bpf-map"
		| "pidfd"
		| "unknown";
	/** The device file of a terminal, the name of a socket. */
	readonly path?: string;
}

/** The name it was opened by, for kinds that have one. */
export function pathOf(description: Description): string | undefined {
	if (description.kind === "fifo") return description.file.path;
	return "path" in description ? description.path : undefined;
}

/** Bytes, for kinds with an offset. */
export const positionOf = (description: Description): bigint | undefined =>
	"position" in description ? description.position : undefined;
