import { type Address, type FileOffset, fileOffset, plus } from "./address.ts";
import { contains, firstThat, intersect, type Range } from "./range.ts";
import type { ByteSource, Extent } from "./source.ts";

export type { Extent } from "./source.ts";

/** An extent that belongs somewhere: at an address, or at an offset in a file or an object. */
export interface Placed<At extends Address | FileOffset> extends Extent {
	readonly start: At;
}

/** @param available Bytes that the source has from `offset` on; no more than `length` count. */
export const extent = (source: ByteSource, offset: bigint, length: bigint, available: bigint = length): Extent => ({
	source,
	offset: fileOffset(offset),
	length,
	available: least(available > 0n ? available : 0n, length),
});

export const place = <At extends Address | FileOffset>(
	start: At,
	{ source, offset, length, available }: Extent,
): Placed<At> => ({ start, source, offset, length, available });

/**
 * Its bytes from `from` up to, not including, `to`: itself where these are all.
 *
 * @throws RangeError for bytes that are not its own: a bug of the caller.
 */
export function cut(whole: Extent, from: bigint, to: bigint = whole.length): Extent {
	const { source, offset, length, available } = whole;
	if (from === 0n && to === length) return whole;
	if (from < 0n || to < from || to > length) throw new RangeError(`bytes ${from}-${to} of an extent of ${length}`);
	return extent(source, offset + from, to - from, available - from);
}

/** The same of bytes that have a place: they stay at theirs. */
export const cutPlaced = <At extends Address | FileOffset>(placed: Placed<At>, from: bigint, to?: bigint): Placed<At> =>
	place(plus(placed.start, from), cut(placed, from, to));

/** What of it the source has. */
export const held = (whole: Extent): Extent => cut(whole, 0n, whole.available);

export const heldPlaced = <At extends Address | FileOffset>(placed: Placed<At>): Placed<At> =>
	cutPlaced(placed, 0n, placed.available);

/** In pieces of `most` bytes, the last of what is left. */
export function* piecesOf(whole: Extent, most: bigint): Generator<Extent, undefined> {
	for (let from = 0n; from < whole.length; from += most) yield cut(whole, from, least(from + most, whole.length));
}

/** The same, each at its place. */
export function* placedPiecesOf<At extends Address | FileOffset>(
	placed: Placed<At>,
	most: bigint,
): Generator<Placed<At>, undefined> {
	for (const piece of piecesOf(placed, most)) yield place(plus(placed.start, piece.offset - placed.offset), piece);
}

/** Whether the bytes of `next` come directly behind those of `before`, and all of `before` are there. */
export const goesOn = (before: Extent, next: Extent): boolean =>
	before.source === next.source && before.available === before.length && before.offset + before.length === next.offset;

/** Both as one, where {@link goesOn}. */
export const joined = ({ source, offset, length }: Extent, next: Extent): Extent =>
	extent(source, offset, length + next.length, length + next.available);

/** Where it ends. */
export const endOf = <At extends Address | FileOffset>({ start, length }: Placed<At>): At => plus(start, length);

export const rangeOf = <At extends Address | FileOffset>(placed: Placed<At>): Range<At> => ({
	start: placed.start,
	end: endOf(placed),
});

/** What of `placed` lies in a range; `undefined` for nothing. */
export function within<At extends Address | FileOffset>(placed: Placed<At>, range: Range<At>): Placed<At> | undefined {
	const base: bigint = placed.start;
	const part: Range<bigint> | undefined = intersect(rangeOf(placed), range);
	return part && cutPlaced(placed, part.start - base, part.end - base);
}

/** What of a list that is sorted by start, without overlaps, lies in a range. */
export function allWithin<At extends Address | FileOffset>(
	sorted: readonly Placed<At>[],
	range: Range<At>,
): Placed<At>[] {
	const found: Placed<At>[] = [];
	for (let i = firstThat(sorted, (one) => endOf(one) > range.start); i < sorted.length; i++) {
		const one = sorted[i];
		const part = one && within(one, range);
		if (part === undefined) break;
		found.push(part);
	}
	return found;
}

/** Its bytes, zeros among them; `undefined` where the source ends before. The caller bounds its length. */
export function bytesOf(whole: Extent): Buffer | undefined {
	const { source, offset, length, available } = whole;
	const bytes = available === 0n ? Buffer.alloc(0) : source.read(offset, Number(available));
	return available === length ? bytes : bytes && Buffer.concat([bytes, Buffer.alloc(Number(length - available))]);
}

/** `length` bytes at an address, from as many of a list as it takes; `undefined` where none of them has some. */
export function readAt(list: readonly Placed<Address>[], at: Address, length: number): Buffer | undefined {
	const end = plus(at, BigInt(length));
	if (end < at) return undefined;
	const parts: Buffer[] = [];
	for (let next = at; next < end; ) {
		const one = list.find((candidate) => contains(rangeOf(candidate), next));
		const part = one && within(one, { start: next, end });
		const bytes = part && bytesOf(part);
		if (part === undefined || bytes === undefined) return undefined;
		parts.push(bytes);
		next = endOf(part);
	}
	const [only] = parts;
	return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

export const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
