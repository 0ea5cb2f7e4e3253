import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";
import { NecromancerError, refuse } from "../errors.ts";
import type { FileOffset } from "./address.ts";
import { once } from "./once.ts";
import { pathOfDescriptor } from "./own-descriptor.ts";
import { type Stamp, stampOf } from "./stamp.ts";

/**
 * Something with a name, a size and bytes at offsets: a file, or a buffer in a test. Reading is synchronous and exact;
 * callers bound `length` themselves (never by an unchecked number from the bytes). Bulk copying goes through `fd`.
 */
export interface ByteSource {
	/** What messages call it: the path as the user gave it. */
	readonly name: string;
	/** Bytes, at the time it was opened. */
	readonly size: bigint;
	/** st_mode of a file: type and permissions. */
	readonly mode?: number;
	/** How it was when it was opened; see stamp.ts. Absent for buffers. */
	readonly stamp?: Stamp;
	/** Whose file it is, and who may write it besides. */
	readonly writers?: FileWriters;
	/** The open file, for those who read large ranges asynchronously. Absent for buffers. */
	readonly fd?: number;
	/** Appends bytes of it to a new file, without our looking at them. Absent where nobody can. */
	readonly pour?: (extents: readonly Extent[], into: PourTarget) => Promise<void>;
	/** Exactly `length` bytes, or `undefined` where the source ends before. */
	read(offset: FileOffset, length: number): Buffer | undefined;
	close(): void;
}

/** These bytes, over there: a stretch of a source, by reference. What can be done with it is in extent.ts. */
export interface Extent {
	readonly source: ByteSource;
	/** Where its first byte lies in the source. */
	readonly offset: FileOffset;
	/** Bytes. */
	readonly length: bigint;
	/** How many of them, from the first on, the source has: 0 … `length`. The others are zeros. */
	readonly available: bigint;
}

/** A file, empty so far, that a source is poured into. */
export interface PourTarget {
	/** Open for writing. */
	readonly fd: number;
	readonly name: string;
	/** Told how many bytes were written since the last call. */
	readonly progress?: ((bytes: bigint) => void) | undefined;
	/** Ends the work; its reason is thrown. */
	readonly signal?: AbortSignal | undefined;
}

/** Closes a descriptor, however often it is called. */
export const closeOnce = (fd: number): (() => void) => once(() => closeSync(fd));

/** Who can have written a file. */
export interface FileWriters {
	readonly uid: number;
	/** Whose members may write it too. */
	readonly group?: number;
	/** Anybody may. */
	readonly anybody: boolean;
}

export const writersOf = (stat: {
	readonly uid: bigint;
	readonly gid: bigint;
	readonly mode: bigint;
}): FileWriters => ({
	uid: Number(stat.uid),
	...((stat.mode & 0o020n) === 0n ? {} : { group: Number(stat.gid) }),
	anybody: (stat.mode & 0o002n) !== 0n,
});

/**
 * Opens a regular file read-only.
 *
 * @param flags Of open(2), besides.
 * @throws NecromancerError ERR_IO when it cannot be opened or is no regular file (a FIFO would hang, a device never end).
 */
export function openFile(path: string | Buffer, name: string = path.toString(), flags = 0): ByteSource {
	const { O_RDONLY, O_NONBLOCK, O_NOCTTY } = constants;
	// to open a device may do something already, and whoever put it there may have no right to that
	const at = attempt(name, () => openSync(path, O_PATH | flags));
	try {
		requireRegular(fstatSync(at), name);
		return sourceOn(
			attempt(name, () => openSync(pathOfDescriptor(at), O_RDONLY | O_NONBLOCK | O_NOCTTY)),
			name,
		);
	} finally {
		closeSync(at);
	}
}

/** include/uapi/asm-generic/fcntl.h; Node has no name for it. */
export const O_PATH = 0o10000000;

/** @throws NecromancerError ERR_IO */
function requireRegular(stat: Pick<BigIntStats | Stats, "isFile" | "isDirectory">, name: string): void {
	if (stat.isFile()) return;
	refuse("ERR_IO", {
		subject: name,
		finding: `is ${stat.isDirectory() ? "a directory" : "no regular file"}`,
		expectation: "expected a file",
	});
}

/**
 * A regular file that is open; it is closed with the source, or when it is none.
 *
 * @throws NecromancerError ERR_IO
 */
export function sourceOn(fd: number, name: string): ByteSource {
	const stat = fstatSync(fd, { bigint: true });
	try {
		requireRegular(stat, name);
	} catch (error) {
		closeSync(fd);
		throw error;
	}
	return {
		name,
		fd,
		size: stat.size,
		mode: Number(stat.mode),
		stamp: stampOf(stat),
		writers: writersOf(stat),
		read: (offset, length) => {
			if (offset + BigInt(length) > stat.size) return undefined;
			const buffer = Buffer.allocUnsafe(length);
			for (let done = 0; done < length; ) {
				const n = attempt(name, () => readSync(fd, buffer, done, length - done, offset + BigInt(done)));
				if (n === 0) return undefined;
				done += n;
			}
			return buffer;
		},
		close: closeOnce(fd),
	};
}

/** Bytes already in memory as a source. */
export const fromBuffer = (name: string, bytes: Uint8Array): ByteSource => {
	const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	return {
		name,
		size: BigInt(buffer.length),
		read: (offset, length) => {
			if (offset + BigInt(length) > BigInt(buffer.length)) return undefined;
			return buffer.subarray(Number(offset), Number(offset) + length);
		},
		close: () => {},
	};
};

/**
 * Runs a system call and turns its failure into ERR_IO with the errno in words; into ERR_HOST where descriptors are used up,
 * which says nothing about the subject.
 */
export function attempt<T>(subject: string, call: () => T): T {
	try {
		return call();
	} catch (cause) {
		const { code, syscall } = cause as NodeJS.ErrnoException;
		if (code === undefined || cause instanceof NecromancerError) throw cause;
		const remedy = usedUp[code];
		if (remedy !== undefined)
			return refuse(
				"ERR_HOST",
				{
					subject,
					finding: `${syscall ?? "access"} failed with ${code}`,
					expectation: "expected a descriptor to be free",
					remedy,
				},
				{ cause },
			);
		return refuse(
			"ERR_IO",
			{ subject, finding: `${syscall ?? "access"} failed with ${code}${because[code] ?? ""}` },
			{ cause },
		);
	}
}

/** What helps when no descriptor is free, by errno. */
export const usedUp: Readonly<Record<string, string>> = {
	EMFILE: "raise RLIMIT_NOFILE (ulimit -n)",
	ENFILE: "raise fs.file-max",
};

const because: Readonly<Record<string, string>> = {
	ENOENT: " (no such file)",
	EACCES: " (permission denied)",
	EPERM: " (not permitted)",
	EISDIR: " (is a directory)",
	ENOTDIR: " (not a directory)",
	ENOSPC: " (no space left)",
	EROFS: " (read-only file system)",
};
