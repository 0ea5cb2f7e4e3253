import { PAGE_SIZE } from "../bytes/address.ts";
import { cut, type Extent, least } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";

/** Pages that go together. */
export interface Chunk {
	/** In the order of the file; whole pages. */
	readonly pieces: readonly Extent[];
	/** Bytes of all of them. */
	readonly length: number;
	/** The process may read them itself. */
	readonly direct: boolean;
}

/**
 * Cuts extents of a process's memory, in order, into chunks that a pipe holds. Each is as large as can be, and of one kind.
 *
 * @param extents Whole pages, ascending. Offsets are addresses.
 * @param capacity Bytes, whole pages.
 * @param unreadable Ascending.
 */
export function* chunksOf(
	extents: Iterable<Extent>,
	capacity: number,
	unreadable: readonly Range[],
): Generator<Chunk, void> {
	let pieces: Extent[] = [];
	let length = 0;
	let direct = true;
	for (const part of partsOf(extents, unreadable)) {
		for (let at = 0n; at < part.bytes.length; ) {
			if (pieces.length > 0 && (length === capacity || direct !== part.direct)) {
				yield { pieces, length, direct };
				[pieces, length] = [[], 0];
			}
			direct = part.direct;
			const end = least(at + BigInt(capacity - length), part.bytes.length);
			pieces.push(cut(part.bytes, at, end));
			length += Number(end - at);
			at = end;
		}
	}
	if (pieces.length > 0) yield { pieces, length, direct };
}

/** Pages of one kind. */
interface ChunkPart {
	readonly bytes: Extent;
	readonly direct: boolean;
}

function* partsOf(extents: Iterable<Extent>, unreadable: readonly Range[]): Generator<ChunkPart, void> {
	let next = 0;
	for (const whole of extents) {
		const { offset, length } = whole;
		for (let at = 0n; at < length; ) {
			while ((unreadable[next]?.end ?? offset + length) <= offset + at) next++;
			const hidden = unreadable[next];
			const direct = hidden === undefined || hidden.start > offset + at;
			const limit = direct ? hidden?.start : hidden.end;
			const end = limit === undefined ? length : least(limit - offset, length);
			yield { bytes: cut(whole, at, end), direct };
			at = end;
		}
	}
}

/** Most pieces of a chunk: each has a page at least. */
export const piecesIn = (capacity: number): number => capacity / Number(PAGE_SIZE);
