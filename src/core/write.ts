import { ftruncateSync } from "node:fs";
import { type FileOffset, hex, PAGE_SIZE } from "../bytes/address.ts";
import { readExtent, writeFrom } from "../bytes/bulk.ts";
import { type Extent, held, piecesOf } from "../bytes/extent.ts";
import { attemptWrite, type ByteSink } from "../bytes/sink.ts";
import { refuse } from "../errors.ts";
import { layOut } from "./lay-out.ts";
import type { NewCore } from "./new-core.ts";

export interface WriteCoreOptions {
	/** Told how many bytes of memory were dealt with since the last call. */
	readonly progress?: (bytes: bigint) => void;
	/** Ends the work with its reason. The file is then of no use. */
	readonly signal?: AbortSignal;
}

/** What a core came to. */
export interface WrittenCore {
	/** Bytes, holes included. */
	readonly size: bigint;
	/** Bytes of memory that were not zeros. */
	readonly written: bigint;
}

/** Bytes that are read at once. */
const CHUNK = 1 << 20;
const PAGE = Number(PAGE_SIZE);

/**
 * Writes a core as the kernel would. Pages of zeros become holes. The next bytes are read while some are looked at and
 * written; of memory, no more than these is held at any time.
 *
 * @param sink A new file.
 * @throws NecromancerError ERR_IO, also where a source ends before its bytes; RangeError for a draft that is no core.
 */
export async function writeCore(draft: NewCore, sink: ByteSink, options: WriteCoreOptions = {}): Promise<WrittenCore> {
	const { fd, name } = sink;
	const { head, offsets, tail, tailAt, size } = layOut(draft);
	writeFrom(fd, name, [Buffer.concat(head)], 0);
	const written = await writeMemory(draft, offsets, sink, options);
	if (tail.length > 0) writeFrom(fd, name, [Buffer.from(tail)], Number(tailAt));
	attemptWrite(name, () => ftruncateSync(fd, Number(size)));
	return { size, written };
}

async function writeMemory(
	draft: NewCore,
	offsets: readonly FileOffset[],
	{ fd, name }: ByteSink,
	{ progress, signal }: WriteCoreOptions,
): Promise<bigint> {
	const chunks = chunksOf(draft, offsets);
	let written = 0n;
	let spare: Buffer = Buffer.allocUnsafeSlow(CHUNK);
	let next = readNext(chunks, Buffer.allocUnsafeSlow(CHUNK));
	try {
		for (let filled = await next; filled !== undefined; filled = await next) {
			signal?.throwIfAborted();
			next = readNext(chunks, spare);
			next.catch(() => {}); // met when its turn comes, or not at all when writing fails before
			written += writeSifted(fd, name, filled.bytes, Number(filled.chunk.to));
			progress?.(BigInt(filled.bytes.length));
			spare = filled.buffer;
		}
		return written;
	} finally {
		await Promise.allSettled([next]); // over before its source goes
	}
}

/** Bytes on their way from a source to the core. */
interface CoreChunk {
	readonly from: Extent;
	readonly to: bigint;
}

function* chunksOf({ segments }: NewCore, offsets: readonly FileOffset[]): Generator<CoreChunk, undefined> {
	for (const [i, segment] of segments.entries()) {
		for (const content of segment.contents) {
			const start = (offsets[i] ?? 0n) + (content.start - segment.start);
			for (const from of piecesOf(held(content), BigInt(CHUNK)))
				yield { from, to: start + (from.offset - content.offset) };
		}
	}
	return undefined;
}

interface FilledCore {
	readonly chunk: CoreChunk;
	/** The beginning of `buffer`. */
	readonly bytes: Buffer;
	readonly buffer: Buffer;
}

async function readNext(chunks: Generator<CoreChunk, undefined>, buffer: Buffer): Promise<FilledCore | undefined> {
	const { value: chunk } = chunks.next();
	if (chunk === undefined) return undefined;
	const { source, offset, length } = chunk.from;
	const bytes = buffer.subarray(0, Number(length));
	await readExtent(chunk.from, bytes, (end) =>
		refuse("ERR_IO", {
			subject: source.name,
			finding: `ends at ${hex(end)} while it is copied`,
			expectation: `expected bytes up to ${hex(offset + length)}`,
		}),
	);
	return { chunk, bytes, buffer };
}

const zeroPage = Buffer.alloc(PAGE);

/** Writes what is not zeros, and leaves holes for the rest. Pages are those of the core. */
function writeSifted(fd: number, name: string, bytes: Buffer, to: number): bigint {
	let written = 0;
	let start = -1;
	const put = (end: number): void => {
		if (start < 0) return;
		writeFrom(fd, name, [bytes.subarray(start, end)], to + start);
		written += end - start;
		start = -1;
	};
	for (let at = 0; at < bytes.length; ) {
		const end = Math.min(at + PAGE - ((to + at) % PAGE), bytes.length);
		if (bytes.compare(zeroPage, 0, end - at, at, end) === 0) put(at);
		else if (start < 0) start = at;
		at = end;
	}
	put(bytes.length);
	return BigInt(written);
}
