import type { FileOffset } from "../bytes/address.ts";
import type { Extent, Placed } from "../bytes/extent.ts";
import type { IpcSetting } from "../linux/ipc.ts";

/** An IPC namespace: all of System V's objects in it, and its settings. Its processes all have the very same value. */
export interface IpcNamespace {
	/** Those that are not as in a new namespace. */
	readonly settings: Readonly<Partial<Record<IpcSetting, readonly bigint[]>>>;
	readonly segments: readonly Segment[];
	readonly semaphores: readonly SemaphoreSet[];
	readonly queues: readonly MessageQueue[];
}

/** What all three kinds of objects have (`struct ipc64_perm`). */
export interface IpcObject {
	readonly id: number;
	/** 32 bits, unsigned; 0 (IPC_PRIVATE) for none. */
	readonly key: number;
	/** Permissions, and of a segment SHM_DEST and SHM_LOCKED. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	/** Who made it. */
	readonly cuid: number;
	readonly cgid: number;
}

/** shmget(2) */
export interface Segment extends IpcObject {
	/** Bytes; not always whole pages. */
	readonly size: bigint;
	/** SHM_HUGETLB and the size of its pages, where these are huge. */
	readonly hugePages?: number;
	/** By offset; whole pages. */
	readonly contents: readonly Placed<FileOffset>[];
}

/** semget(2) */
export interface SemaphoreSet extends IpcObject {
	/** 0 … 32767 each. */
	readonly values: readonly number[];
}

/** msgget(2) */
export interface MessageQueue extends IpcObject {
	/** How many bytes it may hold. */
	readonly capacity: number;
	/** In the order in which they were sent. */
	readonly messages: readonly Message[];
}

export interface Message {
	/** 1 … 2^63 - 1. */
	readonly type: bigint;
	readonly text: Extent;
}
