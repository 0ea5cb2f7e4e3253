import { type Address, type FileOffset, fileOffset, plus } from "../../bytes/address.ts";
import { firstEndingAbove, intersect, type Range } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import { IOV_MAX } from "../../linux/io.ts";
import type { ClassifiedRange } from "./classify.ts";

/** What one read brings in: consecutive bytes of a file, to one or many places. */
export interface PlannedRead {
	readonly source: ByteSource;
	readonly offset: FileOffset;
	readonly length: bigint;
	/** At most IOV_MAX, and their lengths add up to `length`. */
	readonly pieces: readonly FilledPiece[];
	/** What is done first about the one piece it then has: `huge` ones are whole, aligned huge pages. */
	readonly pages?: "huge" | "small";
}

/** Private anonymous memory: what is written there is all it will have, so its pages may be made beforehand. */
export interface Spacious extends Range {
	/** Whether huge ones will do. */
	readonly huge: boolean;
}

export interface FilledPiece {
	readonly start: Address;
	readonly length: bigint;
}

/** PMD_SIZE. */
export const HUGE_PAGE = 1n << 21n;

/** Fewer bytes than this are not worth a call to make their pages. */
const WORTH_MAKING = 1n << 20n;

/** The most that one read transfers is 2 GiB less a page (MAX_RW_COUNT, include/linux/fs.h). */
const MOST = 1n << 30n;

/** Small enough to be still in the cache when it is filled after it was cleared. */
const CACHED = 16n << 20n;

/** Bytes for one read: whole huge pages, and never more than some thousand reads for a process. */
export function chunkOf(total: bigint): bigint {
	const even = (total / 4096n + HUGE_PAGE - 1n) & ~(HUGE_PAGE - 1n);
	return even < CACHED ? CACHED : even > MOST ? MOST : even;
}

/**
 * As few reads as do it: stretches that follow one another in their file become one, wherever in memory they go; what
 * fills much of a `spacious` range is read by itself.
 *
 * @param spacious Sorted, without overlaps.
 * @param chunk The most bytes of one read, a multiple of HUGE_PAGE.
 */
export function readingsOf(
	stretches: readonly ClassifiedRange[],
	spacious: readonly Spacious[],
	chunk: bigint,
): PlannedRead[] {
	const readings: PlannedRead[] = [];
	let open: { source: ByteSource; offset: FileOffset; length: bigint; pieces: FilledPiece[] } | undefined;
	const close = (): void => {
		if (open !== undefined) readings.push(open);
		open = undefined;
	};
	for (const stretch of joined(stretches)) {
		const { source } = stretch;
		for (const { start, length, pages } of cut(stretch, spacious, chunk)) {
			const offset = fileOffset(stretch.offset + (start - stretch.start));
			if (pages !== undefined) {
				close();
				readings.push({ source, offset, length, pieces: [{ start, length }], pages });
				continue;
			}
			const follows =
				open !== undefined &&
				open.source === source &&
				open.offset + open.length === offset &&
				open.pieces.length < IOV_MAX &&
				open.length + length <= chunk;
			if (!follows) close();
			open ??= { source, offset, length: 0n, pieces: [] };
			open.length += length;
			open.pieces.push({ start, length });
		}
	}
	close();
	return readings;
}

/** By place in the file; neighbours in both file and memory made one. */
function joined(stretches: readonly ClassifiedRange[]): ClassifiedRange[] {
	const order = new Map<ByteSource, number>();
	for (const { source } of stretches) if (!order.has(source)) order.set(source, order.size);
	const rank = ({ source }: ClassifiedRange): number => order.get(source) ?? 0;
	const sorted = [...stretches].sort((a, b) =>
		a.source === b.source ? (a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0) : rank(a) - rank(b),
	);
	const whole: ClassifiedRange[] = [];
	for (const stretch of sorted) {
		const last = whole.at(-1);
		const joins =
			last?.source === stretch.source &&
			last.offset + last.length === stretch.offset &&
			last.start + last.length === stretch.start;
		if (joins) whole[whole.length - 1] = { ...last, length: last.length + stretch.length };
		else whole.push(stretch);
	}
	return whole;
}

interface Cut extends FilledPiece {
	readonly pages?: "huge" | "small";
}

/** Pieces of at most `chunk` bytes: those whose pages are made beforehand, and the rest between them. */
function* cut({ start, length }: ClassifiedRange, spacious: readonly Spacious[], chunk: bigint): Generator<Cut> {
	const end = plus(start, length);
	let at = start;
	for (let i = firstEndingAbove(spacious, start); i < spacious.length; i++) {
		const range = spacious[i];
		const part = range === undefined ? undefined : intersect(range, { start, end });
		if (range === undefined || part === undefined) break;
		const first = range.huge ? hugeCeil(part.start) : part.start;
		const last = range.huge ? hugeFloor(part.end) : part.end;
		if (last - first < WORTH_MAKING) continue;
		yield* chunks(at, first, chunk);
		for (const piece of chunks(first, last, chunk)) yield { ...piece, pages: range.huge ? "huge" : "small" };
		at = last;
	}
	yield* chunks(at, end, chunk);
}

function* chunks(from: Address, to: Address, chunk: bigint): Generator<FilledPiece> {
	for (let at = from; at < to; at = plus(at, chunk)) yield { start: at, length: to - at < chunk ? to - at : chunk };
}

const hugeFloor = (at: Address): Address => (at & ~(HUGE_PAGE - 1n)) as Address;
const hugeCeil = (at: Address): Address => hugeFloor(plus(at, HUGE_PAGE - 1n));
