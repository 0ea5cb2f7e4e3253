import type { Address, FileOffset } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { AuxvPair } from "../linux/auxv.ts";
import type { Attributes, MappingAttribute, ProcessAttribute } from "./attributes.ts";
import type { ProcessClocks } from "./clocks.ts";
import type { MappedFile } from "./file-identity.ts";
import type { Files } from "./files.ts";
import type { IpcNamespace } from "./ipc.ts";
import type { Thread } from "./thread.ts";

export type { AlternateStack, Credentials, Rseq, Scheduling, Thread } from "./thread.ts";

/**
 * A process as data: everything needed to make it live, whichever way it was learned. Contents of memory are references
 * into files, so a process of many gigabytes is a small value.
 */
export interface Task {
	readonly identity: Identity;
	/** Leader first. */
	readonly threads: readonly Thread[];
	readonly memory: Memory;
	/** Signals 1…64 without SIGKILL and SIGSTOP, ascending. */
	readonly signalActions: readonly SignalAction[];
	readonly intervalTimers: IntervalTimers;
	readonly posixTimers: readonly PosixTimer[];
	/** Indexed by RLIMIT_ number. */
	readonly limits: readonly Limit[];
	/** Signals pending for the whole process: 128-byte siginfo each, oldest first. */
	readonly pending: readonly Uint8Array[];
	readonly files: Files;
	/** Stopped by job control when it was dumped. */
	readonly stopped: boolean;
	/** By what, where that is not SIGSTOP. */
	readonly stopSignal?: number;
	/** Where they are not those of a new process. */
	readonly attributes?: Attributes<ProcessAttribute>;
	/** What was lost when it was dumped. */
	readonly losses?: readonly LossAtDump[];
	/** Absent where nothing tells them, or where those of the host are wanted. */
	readonly clocks?: ProcessClocks;
	/** Its IPC namespace, which mappings of the kind `sysv` show; absent where it has that of whoever restores it. */
	readonly ipc?: IpcNamespace;
}

export interface Identity {
	/** Thread-group id, in the pid namespace of the dump. */
	readonly pid: number;
	readonly ppid: number;
	readonly pgid: number;
	readonly sid: number;
	/** At most 15 bytes. */
	readonly comm: string;
	/** /proc/PID/oom_score_adj, -1000 … 1000. */
	readonly oomScoreAdjust?: number;
	/** PR_SET_CHILD_SUBREAPER. */
	readonly childSubreaper?: boolean;
}

export interface SignalAction {
	readonly signal: number;
	/** 0 default, 1 ignore, else the handler's address. */
	readonly handler: Address;
	/** SA_ flags. */
	readonly flags: bigint;
	readonly restorer: Address;
	readonly mask: bigint;
}

/** Remaining and interval, in microseconds. */
export interface IntervalTimer {
	readonly remaining: bigint;
	readonly interval: bigint;
}

export interface IntervalTimers {
	readonly real: IntervalTimer;
	readonly virtual: IntervalTimer;
	readonly profiling: IntervalTimer;
}

export interface PosixTimer {
	readonly id: number;
	readonly clock: number;
	readonly signal: number;
	/** SIGEV_ number. */
	readonly notify: number;
	/** The program's cookie, often an address. */
	readonly value: bigint;
	/** For SIGEV_THREAD_ID. */
	readonly thread?: number;
	/** Nanoseconds. */
	readonly remaining: bigint;
	readonly interval: bigint;
	readonly overrun: number;
}

/** Bytes, counts or seconds; all ones is no limit. */
export interface Limit {
	readonly soft: bigint;
	readonly hard: bigint;
}

export interface Memory {
	/** Sorted, without overlaps. */
	readonly mappings: readonly Mapping[];
	/** Sorted, whole pages. Bytes that differ from what the fresh mapping would show; for shared objects see `objects`. */
	readonly contents: readonly Placed<Address>[];
	readonly objects: readonly SharedObject[];
	readonly bounds: Bounds;
	/** Path of the executable; empty when there is no such file any more. */
	readonly executable: string;
	/** Set where the executable had lost its name: the id of its `GhostFile`. */
	readonly executableGhost?: number;
	/** Files that had lost their names, mapped or open. */
	readonly ghosts?: readonly GhostFile[];
	/** What is known of the mapped files that still have names, by path; the executable among them. */
	readonly files: ReadonlyMap<string, MappedFile>;
	readonly auxv: readonly AuxvPair[];
	/** PR_SET_DUMPABLE. */
	readonly dumpable: number;
	/** PR_SET_THP_DISABLE. */
	readonly hugePagesDisabled?: boolean;
}

/** One VMA. */
export interface Mapping extends Range {
	/** PROT_ bits. */
	readonly prot: number;
	readonly shared: boolean;
	readonly backing: Backing;
	/** MAP_ bits beyond shared, private, anonymous and fixed: GROWSDOWN, NORESERVE, LOCKED, HUGETLB and its size. */
	readonly flags: number;
	/** Bit n set: madvise(n) was given. */
	readonly advice: bigint;
	readonly attributes?: Attributes<MappingAttribute>;
}

export type Backing =
	| { readonly kind: "anonymous"; readonly role?: "heap" | "stack" }
	| {
			readonly kind: "file";
			readonly path: string;
			readonly offset: FileOffset;
			/** Whether the file was open for writing. */
			readonly writable: boolean;
			/** Set where the file had lost that name: the id of its `GhostFile`. */
			readonly ghost?: number;
	  }
	/**
	 * Shared memory with no file name of its own: shared anonymous memory and memfds. Not `writable` where a memfd was mapped
	 * by a descriptor that was not; absent where it was.
	 */
	| { readonly kind: "object"; readonly object: number; readonly offset: FileOffset; readonly writable?: false }
	| { readonly kind: "sysv"; readonly id: bigint; readonly offset: FileOffset }
	| { readonly kind: "vdso" | "vvar" | "vsyscall" | "aio" | "guard" | "socket" };

export interface SharedObject {
	readonly id: number;
	/** memfd name; absent for shared anonymous memory. */
	readonly name?: string;
	/** F_SEAL_ bits, for a memfd. */
	readonly seals?: number;
	/** MFD_ flags it was made with, MFD_CLOEXEC aside. */
	readonly memfdFlags?: number;
	/** st_mode, and who owns it. */
	readonly mode?: number;
	readonly uid?: number;
	readonly gid?: number;
	/** Bytes. */
	readonly size: bigint;
	/** By offset in the object; whole pages. */
	readonly contents: readonly Placed<FileOffset>[];
}

/** A regular file or a directory that had lost its name, and so lives in the images only. */
export interface GhostFile {
	/** Descriptions and mappings that name it show the same file. */
	readonly id: number;
	/** The name it had. */
	readonly path: string;
	/** st_mode, type and permissions. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Bytes. */
	readonly size: bigint;
	/** By offset in the file; of bytes, not of pages. What none covers is a hole. */
	readonly contents: readonly Placed<FileOffset>[];
	/** Nanoseconds since 1970. */
	readonly accessed?: bigint;
	readonly modified?: bigint;
}

/** `struct prctl_mm_map` (include/uapi/linux/prctl.h) without the vector and the executable. */
export interface Bounds {
	readonly startCode: Address;
	readonly endCode: Address;
	readonly startData: Address;
	readonly endData: Address;
	readonly startStack: Address;
	readonly startBrk: Address;
	readonly brk: Address;
	readonly argStart: Address;
	readonly argEnd: Address;
	readonly envStart: Address;
	readonly envEnd: Address;
}

/** A loss that was reported when the process was dumped, stored in the images. */
export interface LossAtDump {
	readonly subject: string;
	readonly text: string;
}
