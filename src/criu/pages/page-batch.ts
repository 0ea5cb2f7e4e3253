import { type FileOffset, hex } from "../../bytes/address.ts";
import { readInto } from "../../bytes/bulk.ts";
import { least } from "../../bytes/extent.ts";
import type { ByteSource } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import { inFile, inSource, offsetIn, type PageRun, partsOf } from "./page-run.ts";

/** A part of a run in a batch. */
export interface PagePiece {
	readonly run: PageRun;
	/** Bytes into the run. */
	readonly from: bigint;
	/** Bytes, whole pages. */
	readonly length: bigint;
	/** Where it lies in the batch's buffers; `undefined` for zeros to be written, which need no bytes. */
	readonly at: number | undefined;
}

/** What is read, sifted and written in one go. */
export interface Batch {
	readonly pieces: readonly PagePiece[];
	/** Bytes of the buffers that are used. */
	readonly size: number;
}

/** The buffers a batch is read into. They start at the beginning of their ArrayBuffer. */
export interface PageSlot {
	readonly content: Buffer;
	/** The bytes of the mapped files, at the same places; made when a run first needs it. */
	baseline: Buffer | undefined;
}

/** Most pieces of a batch: bounds what many tiny runs cost. */
const MAX_PIECES = 1024;

/** Cuts runs into batches of at most `capacity` bytes (whole pages), in order. */
export function* batchesOf(runs: Iterable<PageRun>, capacity: number): Generator<Batch, void> {
	let pieces: PagePiece[] = [];
	let size = 0;
	for (const run of runs) {
		const { looked, hole } = partsOf(run);
		for (let from = 0n; from < looked; ) {
			const length = least(looked - from, BigInt(capacity - size));
			pieces.push({ run, from, length, at: size });
			size += Number(length);
			from += length;
			if (size < capacity && pieces.length < MAX_PIECES) continue;
			yield { pieces, size };
			pieces = [];
			size = 0;
		}
		if (hole > 0n) pieces.push({ run, from: looked, length: hole, at: undefined });
	}
	if (pieces.length > 0) yield { pieces, size };
}

/**
 * Reads a batch's content, and the bytes of the mapped files where pages are compared with one.
 *
 * @throws NecromancerError ERR_CORE_TRUNCATED when the source of a run ends before its bytes, ERR_BINARY_MISMATCH when
 * a mapped file became shorter.
 */
export async function fill(batch: Batch, slot: PageSlot): Promise<void> {
	const content: Read[] = [];
	const baseline: Read[] = [];
	for (const { run, from, length, at } of batch.pieces) {
		if (at === undefined) continue;
		const count = Number(least(inSource(run, from), length));
		plan(content, { source: run.source, offset: offsetIn(run, from), at, count });
		slot.content.fill(0, at + count, at + Number(length));
		if (typeof run.baseline !== "object") continue;
		slot.baseline ??= Buffer.allocUnsafeSlow(slot.content.length);
		const mapped = Number(least(inFile(run.baseline, from), length));
		plan(baseline, { source: run.baseline.source, offset: offsetIn(run.baseline, from), at, count: mapped });
		slot.baseline.fill(0, at + mapped, at + Number(length));
	}
	for (const read of content) await perform(read, slot.content, truncated);
	if (slot.baseline !== undefined) for (const read of baseline) await perform(read, slot.baseline, shrunk);
}

interface Read {
	readonly source: ByteSource;
	readonly offset: FileOffset;
	/** In the buffer. */
	readonly at: number;
	/** Bytes. */
	readonly count: number;
}

type WantedBytes = Pick<Read, "offset" | "count">;

/** Adds a read, or lengthens the last: the segments of a core lie in a row, and a large program has thousands. */
function plan(reads: Read[], next: Read): void {
	const last = reads.at(-1);
	const goesOn =
		last !== undefined &&
		last.source === next.source &&
		last.at + last.count === next.at &&
		last.offset + BigInt(last.count) === next.offset;
	if (goesOn) reads[reads.length - 1] = { ...last, count: last.count + next.count };
	else if (next.count > 0) reads.push(next);
}

const perform = ({ source, offset, at, count }: Read, into: Buffer, short: typeof truncated): Promise<void> =>
	readInto(source, offset, into.subarray(at, at + count), (end) => short(source, end, { offset, count }));

const truncated = (source: ByteSource, end: FileOffset, { offset, count }: WantedBytes): never =>
	refuse("ERR_CORE_TRUNCATED", {
		subject: source.name,
		finding: `ends at ${hex(end)}`,
		expectation: `expected ${count} bytes at ${hex(offset)}`,
		remedy: "wait until it is written completely",
	});

const shrunk = (source: ByteSource, end: FileOffset, { offset, count }: WantedBytes): never =>
	refuse("ERR_BINARY_MISMATCH", {
		subject: source.name,
		finding: `became shorter while it was read and ends at ${hex(end)}`,
		expectation: `expected ${count} bytes at ${hex(offset)}`,
	});
