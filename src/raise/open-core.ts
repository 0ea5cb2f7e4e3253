import { fstatSync, statSync } from "node:fs";
import { basename } from "node:path";
import { addAbortSignal } from "node:stream";
import { fileOffset } from "../bytes/address.ts";
import { readInto } from "../bytes/bulk.ts";
import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { PACKING_BYTES, type Packing, packingOf } from "../bytes/packing.ts";
import { attempt, type ByteSource, type FileWriters, openFile, writersOf } from "../bytes/source.ts";
import { requireUnchanged } from "../bytes/unchanged.ts";
import { refuse } from "../errors.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { readLink } from "../proc/links.ts";
import { type Owner, ownerOfCore } from "../rights/privilege.ts";
import { makeTemporaryFile } from "./temporary-file.ts";
import { unpack } from "./unpack.ts";

export interface OpenCoreOptions {
	/** The most bytes that a core may unpack to; without it as many as {@link defaultMaxSize} says. */
	readonly maxSize?: bigint;
	/** Called before a compressed file is unpacked, with its size; `advance` is called as it is read. */
	readonly progress?: (total: bigint) => { readonly advance: (bytes: bigint) => void; readonly end: () => void };
	/** Where to unpack; without it TMPDIR, /var/tmp or /tmp. */
	readonly tmpdir?: string;
	/** Ends the unpacking; nothing of it is left. */
	readonly signal?: AbortSignal;
}

/** A core, wherever it came from, as a file. */
export interface OpenedCore {
	readonly source: ByteSource;
	/** It is our own unpacked copy, an unnamed file. It exists as long as it is open or mapped somewhere. */
	readonly temporary: boolean;
	/** The file's owner; we ourselves for a pipe. */
	readonly owner: Owner;
	/** All users who may have written it. */
	readonly writers: FileWriters;
	/** The given file's mtime, nanoseconds since 1970; absent for a pipe. */
	readonly written?: bigint;
	/** What messages call it. */
	readonly name: string;
	close(): void;
}

/** 64 GiB: the default limit for unpacking. */
export const USUAL_MAX_SIZE = 1n << 36n;

/** What any compressed core may unpack to. */
const LITTLE = 1n << 30n;

/** Cores compress to a third or a tenth, mostly-zero ones more; a higher ratio than this is suspicious. */
const MOST_RATIO = 64n;

/** The most that a compressed core of so many bytes may unpack to unasked. */
export const defaultMaxSize = (packed: bigint): bigint => {
	const most = packed * MOST_RATIO;
	return most < LITTLE ? LITTLE : most > USUAL_MAX_SIZE ? USUAL_MAX_SIZE : most;
};

/** The limit while the stream goes on: a core may begin with zeros, so the ratio so far says little. */
export const maxSizeWhileReading = (packed: bigint): bigint => (packed < LITTLE / MOST_RATIO ? LITTLE : USUAL_MAX_SIZE);

/**
 * Opens a core as it is found: plain, or compressed with gzip, zstd, lz4, xz or bzip2, which its content tells, not its
 * name. A plain file is opened where it is; anything else is unpacked into a sparse temporary file.
 *
 * @param path "-" for standard input, which may be a pipe.
 * @throws NecromancerError ERR_IO; ERR_CORE_MAGIC for what is none, as far as that can be told before it is unpacked;
 *   ERR_CORE_TOO_LARGE, ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT, ERR_HOST from unpacking.
 */
export async function openCoreSource(path: string | "-", options: OpenCoreOptions): Promise<OpenedCore> {
	if (path !== "-") {
		if (attempt(path, () => statSync(path, { throwIfNoEntry: false }))?.isFIFO() === true)
			refuse("ERR_IO", {
				subject: path,
				finding: "is a pipe",
				expectation: "expected a file",
				remedy: "give - and let it be standard input",
			});
		return openGiven(await openAtRest(path), path, options);
	}
	const name = "standard input";
	const stat = attempt(name, () => fstatSync(0, { bigint: true }));
	if (stat.isFile()) return openGiven(openFile(pathOfDescriptor(0), name), pathOfDescriptor(0), options);
	if (process.stdin.isTTY)
		refuse("ERR_USAGE", { subject: "-", finding: "is a terminal", expectation: "expected a core on standard input" });
	const us = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
	// a silent writer on standard input could not be interrupted otherwise
	if (options.signal !== undefined) addAbortSignal(options.signal, process.stdin);
	const { head, all } = await peek(process.stdin);
	return copy(all, packingOf(head), name, us, options);
}

/** Milliseconds. Before Linux 6.13 mtime has the granularity of a timer tick, at most this long. */
const TICK = 10;

/**
 * Opens a file and waits until its mtime is older than the mtime granularity, so that every later write changes it (see {@link
 * requireUnchanged}). A file that is being written is refused later.
 */
async function openAtRest(path: string): Promise<ByteSource> {
	for (let attempts = 5; ; attempts -= 1) {
		const source = openFile(path);
		const age = Date.now() - Number((source.stamp?.ctimeNs ?? 0n) / 1_000_000n);
		if (age > TICK || age < 0 || attempts === 0) return source;
		source.close();
		await new Promise((done) => setTimeout(done, TICK));
	}
}

async function openGiven(source: ByteSource, path: string, options: OpenCoreOptions): Promise<OpenedCore> {
	const { name, fd = -1 } = source;
	const stat = fstatSync(fd, { bigint: true });
	const owner = ownerOfCore(nameOf(fd, path), { uid: Number(stat.uid), gid: Number(stat.gid) });
	const writers = { ...writersOf(stat), uid: owner.uid };
	const most = stat.size < BigInt(PACKING_BYTES) ? Number(stat.size) : PACKING_BYTES;
	const packing = packingOf(source.read(fileOffset(0), most) ?? Buffer.alloc(0));
	if (packing === undefined)
		return { source, temporary: false, owner, writers, written: stat.mtimeNs, name, close: source.close };
	const progress = options.progress?.(stat.size);
	try {
		const copied = await copy(streamOf(source, progress?.advance), packing, name, owner, {
			...options,
			size: stat.size,
		});
		try {
			requireUnchanged([source]);
		} catch (error) {
			copied.close();
			throw error;
		}
		return { ...copied, writers, written: stat.mtimeNs };
	} finally {
		progress?.end();
		source.close();
	}
}

/** The current path of an open file. */
function nameOf(fd: number, path: string): string {
	try {
		return basename(withoutDeleted(readLink("self", `fd/${fd}`)).path);
	} catch {
		return basename(path);
	}
}

/** A file's bytes, a piece at a time. */
async function* streamOf(
	source: ByteSource,
	advance: (bytes: bigint) => void = () => {},
): AsyncGenerator<Buffer, void, undefined> {
	for (let at = 0n; at < source.size; at += PIECE) {
		const left = source.size - at;
		const bytes = Buffer.allocUnsafe(Number(left < PIECE ? left : PIECE));
		await readInto(source, fileOffset(at), bytes, (end) =>
			refuse("ERR_IO", {
				subject: source.name,
				finding: `ends at byte ${end} now`,
				expectation: `expected ${source.size} bytes, as when it was opened`,
			}),
		);
		yield bytes;
		advance(BigInt(bytes.length));
	}
}

const PIECE = 1n << 20n;

/** Looks at the first bytes of a stream, and gives all of them. */
async function peek(stream: AsyncIterable<Buffer>): Promise<{ head: Buffer; all: AsyncIterable<Buffer> }> {
	const rest = stream[Symbol.asyncIterator]();
	let head: Buffer = Buffer.alloc(0);
	while (head.length < PACKING_BYTES) {
		const next = await rest.next();
		if (next.done === true) break;
		head = Buffer.concat([head, next.value]);
	}
	async function* all(): AsyncGenerator<Buffer, void, undefined> {
		try {
			yield head;
			for (let next = await rest.next(); next.done !== true; next = await rest.next()) yield next.value;
		} finally {
			await rest.return?.();
		}
	}
	return { head, all: all() };
}

async function copy(
	input: AsyncIterable<Buffer>,
	packing: Packing | undefined,
	name: string,
	owner: OpenedCore["owner"],
	{ maxSize, tmpdir, signal, size }: OpenCoreOptions & { readonly size?: bigint },
): Promise<OpenedCore> {
	const file = makeTemporaryFile(name, tmpdir);
	try {
		let head: Buffer = Buffer.alloc(0);
		let packed = 0n;
		async function* counted(): AsyncGenerator<Buffer, void, undefined> {
			for await (const bytes of input) {
				packed += BigInt(bytes.length);
				yield bytes;
			}
		}
		const take = (bytes: Buffer): void => {
			if (head.length < MAGIC.length) {
				head = Buffer.concat([head, bytes.subarray(0, MAGIC.length)]).subarray(0, MAGIC.length);
				if (!MAGIC.subarray(0, head.length).equals(head)) refuseKind(name, packing, head);
			}
			const usual = size === undefined ? maxSizeWhileReading(packed) : defaultMaxSize(size);
			const most = maxSize ?? (packing === undefined ? USUAL_MAX_SIZE : usual);
			if (file.size + BigInt(bytes.length) > most) refuseSize(name, most);
			file.append(bytes);
		};
		await unpack(counted(), packing, name, take, signal);
		signal?.throwIfAborted();
		const source = file.asSource();
		return { source, temporary: true, owner, writers: { uid: owner.uid, anybody: false }, name, close: source.close };
	} catch (error) {
		file.close();
		throw error;
	}
}

const MAGIC = Buffer.from("\x7fELF", "latin1");

/** Refuses by the first bytes, before all is unpacked. */
const refuseKind = (subject: string, packing: Packing | undefined, head: Buffer): never =>
	refuse("ERR_CORE_MAGIC", {
		subject,
		finding: `${packing === undefined ? "starts" : `unpacked with ${packing}, it starts`} with ${[...head].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}`,
		expectation: "expected an ELF file (7f 45 4c 46)",
	});

const refuseSize = (subject: string, maxSize: bigint): never =>
	refuse("ERR_CORE_TOO_LARGE", {
		subject,
		finding: `unpacks to more than ${maxSize} bytes`,
		expectation: "which is the most that is taken",
		remedy: "allow more with --max-size",
	});
