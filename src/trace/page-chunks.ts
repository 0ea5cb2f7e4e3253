import { fileOffset, PAGE_SIZE } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import type { SourceRange } from "../bytes/source.ts";

/** Pages that go together. */
export interface Chunk {
	/** In the order of the file; whole pages. */
	readonly pieces: readonly SourceRange[];
	/** Bytes of all of them. */
	readonly length: number;
	/** The process may read them itself. */
	readonly direct: boolean;
}

/**
 * Cuts ranges of a process's memory, in order, into chunks that a pipe holds. Each is as large as can be, and of one kind.
 *
 * @param ranges Whole pages, ascending.
 * @param capacity Bytes, whole pages.
 * @param unreadable Ascending.
 */
export function* chunksOf(
	ranges: Iterable<SourceRange>,
	capacity: number,
	unreadable: readonly Range[],
): Generator<Chunk, void> {
	let pieces: SourceRange[] = [];
	let length = 0;
	let direct = true;
	for (const part of partsOf(ranges, unreadable)) {
		for (let at = 0n; at < part.length; ) {
			if (pieces.length > 0 && (length === capacity || direct !== part.direct)) {
				yield { pieces, length, direct };
				[pieces, length] = [[], 0];
			}
			direct = part.direct;
			const room = BigInt(capacity - length);
			const count = part.length - at < room ? part.length - at : room;
			pieces.push({ offset: fileOffset(part.offset + at), length: count });
			length += Number(count);
			at += count;
		}
	}
	if (pieces.length > 0) yield { pieces, length, direct };
}

interface ChunkPart extends SourceRange {
	readonly direct: boolean;
}

function* partsOf(ranges: Iterable<SourceRange>, unreadable: readonly Range[]): Generator<ChunkPart, void> {
	let next = 0;
	for (const { offset, length } of ranges) {
		const end = offset + length;
		for (let at: bigint = offset; at < end; ) {
			while ((unreadable[next]?.end ?? end) <= at) next++;
			const hidden = unreadable[next];
			const direct = hidden === undefined || hidden.start > at;
			const limit = direct ? (hidden?.start ?? end) : hidden.end;
			const stop = limit < end ? limit : end;
			yield { offset: fileOffset(at), length: stop - at, direct };
			at = stop;
		}
	}
}

/** Most pieces of a chunk: each has a page at least. */
export const piecesIn = (capacity: number): number => capacity / Number(PAGE_SIZE);
