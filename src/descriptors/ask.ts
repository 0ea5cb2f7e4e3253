import type { BigIntStats } from "node:fs";
import type { Finding } from "../finding.ts";
import type { UnixDiag } from "../linux/unix-diag.ts";
import type { Fdinfo } from "../proc/fdinfo.ts";
import type { OpenNamespace } from "../proc/namespaces.ts";
import type { SocketFamily } from "../proc/sockets.ts";
import type { Pipe } from "./pipe-queue.ts";
import type { Terminal, TerminalPlace } from "./terminal.ts";
import type { SocketFile, UnixMessage } from "./unix-description.ts";
import type { UnixSights } from "./unix-sights.ts";

/** A descriptor as /proc shows it. */
export interface OpenDescriptor {
	readonly number: number;
	/** Its path, or a name such as `pipe:[4711]`. */
	readonly link: string;
	readonly info: Fdinfo;
	readonly stat: BigIntStats;
}

/** What can be asked about a process that still runs. */
export interface Look {
	readonly pid: number;
	/** Whether a path leads to that inode: not unlinked, not replaced, nothing mounted over it. */
	leadsTo(path: string, inode: Inode): boolean;
	/** Whether it is a POSIX message queue: a regular file by all else that it shows. */
	isMessageQueue(open: OpenDescriptor): boolean;
	/** Another name of an unlinked file, in the directory that it was in. */
	otherName(path: string, inode: Inode): string | undefined;
	/** What /proc/sys says of this host; `undefined` where it does not. */
	sysctl(name: string): string | undefined;
	/** What `socket:[4711]` is. */
	socket(link: string): SocketSight;
	/** The link of a namespace that the process will be in: that of whoever dumps it. */
	namespace(name: OpenNamespace): string | undefined;
	/** Whether a terminal's other end is that of somebody who is not dumped, and must not be. */
	isElsewhere(open: OpenDescriptor, place: TerminalPlace): boolean;
	/** Of all that are dumped together. */
	readonly unix: UnixSights;
	/** All that are dumped together, but for those that have ended. */
	readonly together: ReadonlySet<number>;
}

/** What is known of a socket before anything is done. */
export interface SocketSight {
	readonly family?: SocketFamily;
	/** Of a TCP socket, where it is known. */
	readonly tcpState?: number;
	readonly words: string;
}

/** An option of a socket that is asked for: level and number of getsockopt(2), and the most bytes that it has. */
export interface AskedOption {
	readonly level: number;
	readonly option: number;
	readonly size: number;
}

export type Inode = Pick<BigIntStats, "ino" | "dev" | "nlink"> & Partial<Pick<BigIntStats, "mode">>;

/** What can be asked about a stopped process. What it asks for is collected with the process. */
export interface Ask extends Look {
	/** What waits in a pipe or FIFO, which stays there. */
	pipe(open: OpenDescriptor): Promise<Pipe>;
	/** The id of the unlinked file that a descriptor shows, which was called `path`; `undefined` where it cannot be read. */
	ghost(open: OpenDescriptor, path: string): number | undefined;
	/** The id of the shared memory that a descriptor shows. */
	object(open: OpenDescriptor, name: string): number;
	/**
	 * By which descriptor each file that an epoll instance watches is open, in the order of fdinfo; `undefined` for those that no
	 * descriptor of the process shows any more.
	 */
	watched(epoll: OpenDescriptor): Promise<readonly (number | undefined)[]>;
	/**
	 * Whether a process that a descriptor is of is dumped too.
	 *
	 * @throws NecromancerError ERR_UNSUPPORTED where it is not, and nothing may take the descriptor's place.
	 */
	comesAlong(open: OpenDescriptor, pid: number): boolean;
	/** Bytes that wait to be read (FIONREAD). */
	unread(open: OpenDescriptor): Promise<number>;
	/** Where inodes are found now; `undefined` for those that are not. */
	find(inodes: readonly WatchedInode[]): Promise<readonly (string | undefined)[]>;
	/** Where the mount with an id is; `undefined` where nothing leads to it. */
	mountPoint(id: number): Promise<string | undefined>;
	/** Options of a socket, in the order in which they are asked for; `undefined` for those that it has not. */
	socketOptions(open: OpenDescriptor, asked: readonly AskedOption[]): Promise<readonly (Buffer | undefined)[]>;
	/** Whether it has a packet filter. */
	isFiltered(open: OpenDescriptor): Promise<boolean>;
	/** getsockname(2) */
	socketName(open: OpenDescriptor): Promise<Buffer | undefined>;
	/** What lies behind a descriptor of a terminal, which is as before afterwards. */
	terminal(open: OpenDescriptor, place: TerminalPlace): Promise<Terminal>;
	/** The file that a unix socket is bound to; `undefined` where it cannot be found. */
	socketFile(open: OpenDescriptor, diag: UnixDiag): Promise<BoundFile | undefined>;
	/** What waits in a unix socket, which stays there. */
	messages(open: OpenDescriptor, diag: UnixDiag): Promise<readonly UnixMessage[]>;
	/** Whether a descriptor is not dumped. */
	isLost(number: number): boolean;
	readonly report: (finding: Finding) => void;
}

/** The file of a unix socket. */
export interface BoundFile {
	readonly looks: SocketFile;
	/** Where its name begins, if that is relative. */
	readonly directory?: string;
	/** Its path does not lead to it any more. */
	readonly deleted: boolean;
}

/** An inode as the kernel tells of one that has no descriptor. */
export interface WatchedInode {
	readonly inode: bigint;
	/** Of its file system: the major number in the bits from 20 on, the minor one below. */
	readonly device: number;
	/** Empty where its file system knows none. */
	readonly handle: FileHandle;
}

/** name_to_handle_at(2) */
export interface FileHandle {
	readonly type: number;
	readonly bytes: Uint8Array;
}
