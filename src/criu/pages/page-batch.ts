import { type FileOffset, hex } from "../../bytes/address.ts";
import { readExtent } from "../../bytes/bulk.ts";
import { type Extent, goesOn, held, joined, least } from "../../bytes/extent.ts";
import { refuse } from "../../errors.ts";
import { cutRun, type PageRun, partsOf } from "./page-run.ts";

/** A run, or a part of one, in a batch. */
export interface PagePiece {
	readonly run: PageRun;
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
			pieces.push({ run: cutRun(run, from, from + length), at: size });
			size += Number(length);
			from += length;
			if (size < capacity && pieces.length < MAX_PIECES) continue;
			yield { pieces, size };
			pieces = [];
			size = 0;
		}
		if (hole > 0n) pieces.push({ run: cutRun(run, looked, looked + hole), at: undefined });
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
	const content: BufferedRead[] = [];
	const baseline: BufferedRead[] = [];
	for (const { run, at } of batch.pieces) {
		if (at === undefined) continue;
		addRead(content, run, at);
		slot.content.fill(0, at + Number(run.available), at + Number(run.length));
		if (typeof run.baseline !== "object") continue;
		slot.baseline ??= Buffer.allocUnsafeSlow(slot.content.length);
		addRead(baseline, run.baseline, at);
		slot.baseline.fill(0, at + Number(run.baseline.available), at + Number(run.length));
	}
	for (const read of content) await perform(read, slot.content, truncated);
	if (slot.baseline !== undefined) for (const read of baseline) await perform(read, slot.baseline, shrunk);
}

/** Bytes, and where they go in a buffer. */
interface BufferedRead {
	bytes: Extent;
	readonly at: number;
}

/** Adds what a source has, or lengthens the last read: the segments of a core lie in a row, and a large program has thousands. */
function addRead(reads: BufferedRead[], whole: Extent, at: number): void {
	if (whole.available === 0n) return;
	const bytes = held(whole);
	const last = reads.at(-1);
	if (last !== undefined && last.at + Number(last.bytes.length) === at && goesOn(last.bytes, bytes))
		last.bytes = joined(last.bytes, bytes);
	else reads.push({ bytes, at });
}

const perform = ({ bytes, at }: BufferedRead, into: Buffer, short: typeof truncated): Promise<void> =>
	readExtent(bytes, into.subarray(at, at + Number(bytes.length)), (end) => short(bytes, end));

const truncated = ({ source, offset, length }: Extent, end: FileOffset): never =>
	refuse("ERR_CORE_TRUNCATED", {
		subject: source.name,
		finding: `ends at ${hex(end)}`,
		expectation: `expected ${length} bytes at ${hex(offset)}`,
		remedy: "wait until it is written completely",
	});

const shrunk = ({ source, offset, length }: Extent, end: FileOffset): never =>
	refuse("ERR_BINARY_MISMATCH", {
		subject: source.name,
		finding: `became shorter while it was read and ends at ${hex(end)}`,
		expectation: `expected ${length} bytes at ${hex(offset)}`,
	});
