import { randomBytes } from "node:crypto";
import { closeSync, ftruncateSync, openSync, statfsSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { attemptWrite } from "../bytes/sink.ts";
import { attempt, type ByteSource, closeOnce, sourceOn } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { O } from "../linux/open.ts";

/** An unnamed file: the kernel removes it when nobody has it open or mapped any more. */
export interface TemporaryFile {
	/** Bytes so far. */
	readonly size: bigint;
	/** Writes `bytes` where the previous call ended. Zeros become holes. */
	append(bytes: Buffer): void;
	/** Ends the writing. What is returned can only be read, also by those to whom its descriptor is handed on. */
	asSource(): ByteSource;
	/** Ends the writing, if that has not been done; a source stays open. */
	close(): void;
}

const BLOCK = 4096;
const zeros = Buffer.alloc(BLOCK);

/**
 * Makes a file of mode 0600 that no name leads to.
 *
 * @param name What messages call it.
 * @param place A directory; without one TMPDIR, /var/tmp (which is on a disk where /tmp may be memory), or /tmp.
 * @throws NecromancerError ERR_IO, also from `append`: then with the free space of the place.
 */
export function makeTemporaryFile(name: string, place?: string): TemporaryFile {
	const { fd, place: chosen } = openIn(place === undefined ? places() : [place]);
	const finish = closeOnce(fd);
	let size = 0;
	const write = (bytes: Buffer, from: number, to: number): void => {
		const at = size;
		for (let done = from; done < to; )
			done += attemptToWrite(name, chosen, at, () => writeSync(fd, bytes, done, to - done, at + done));
	};
	return {
		get size() {
			return BigInt(size);
		},
		append: (bytes) => {
			for (const [from, to] of denseParts(bytes, size % BLOCK)) write(bytes, from, to);
			size += bytes.length;
		},
		asSource: () => {
			attemptWrite(name, () => ftruncateSync(fd, size));
			const reading = attempt(name, () => openSync(pathOfDescriptor(fd), O.RDONLY | O.CLOEXEC));
			finish();
			return sourceOn(reading, name);
		},
		close: finish,
	};
}

/** The stretches of `bytes` that are not whole blocks of zeros. `into`: how far into a block of the file they begin. */
function* denseParts(bytes: Buffer, into: number): Generator<readonly [from: number, to: number]> {
	let start = 0;
	for (let at = 0; at < bytes.length; ) {
		const end = Math.min(bytes.length, at === 0 ? BLOCK - into : at + BLOCK);
		if (bytes[at] === 0 && bytes.compare(zeros, 0, end - at, at, end) === 0) {
			if (start < at) yield [start, at];
			start = end;
		}
		at = end;
	}
	if (start < bytes.length) yield [start, bytes.length];
}

const places = (): readonly string[] => {
	const { TMPDIR: chosen = "" } = process.env;
	return chosen === "" ? ["/var/tmp", tmpdir()] : [chosen];
};

function openIn(candidates: readonly string[]): { readonly fd: number; readonly place: string } {
	for (const [i, place] of candidates.entries()) {
		const isLast = i === candidates.length - 1;
		try {
			return { fd: openNameless(place), place };
		} catch (cause) {
			const { code = "failed" } = cause as NodeJS.ErrnoException;
			if (isLast)
				refuse(
					"ERR_IO",
					{
						subject: place,
						finding: `a file cannot be made there (${code})`,
						expectation: "expected room for the unpacked core",
						remedy: "set TMPDIR to a directory on a disk with room",
					},
					{ cause },
				);
		}
	}
	throw new RangeError("no place for a temporary file");
}

/** open(2), O_TMPFILE: EISDIR from kernels, EOPNOTSUPP from file systems (NFS, vfat, many of FUSE) that do not know it. */
const namesAll: readonly string[] = ["EISDIR", "EOPNOTSUPP", "ENOTSUP", "EINVAL"];

/**
 * Memory (memfd_create) would not do: a core may be larger. Where every file has a name to begin with, it is taken away before
 * anything is written: who is killed between the two calls leaves an empty file.
 */
function openNameless(place: string): number {
	try {
		return openSync(place, O.TMPFILE | O.RDWR | O.EXCL | O.CLOEXEC, 0o600);
	} catch (cause) {
		if (!namesAll.includes((cause as NodeJS.ErrnoException).code ?? "")) throw cause;
	}
	const path = join(place, `necromancer-core-${randomBytes(8).toString("hex")}`);
	const fd = openSync(path, O.RDWR | O.CREAT | O.EXCL | O.CLOEXEC, 0o600);
	try {
		unlinkSync(path);
	} catch (cause) {
		closeSync(fd);
		throw cause;
	}
	return fd;
}

function attemptToWrite(name: string, place: string, done: number, call: () => number): number {
	try {
		return call();
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code !== "ENOSPC" && code !== "EDQUOT")
			return attemptWrite(name, () => {
				throw cause;
			});
		const { bavail, bsize } = statfsSync(place, { bigint: true });
		return refuse(
			"ERR_IO",
			{
				subject: name,
				finding: `${place} has no room for more than ${done} bytes of it (${bavail * bsize} bytes are free)`,
				expectation: "expected to unpack it there",
				remedy: "make room, or set TMPDIR to a directory that has it",
			},
			{ cause },
		);
	}
}
