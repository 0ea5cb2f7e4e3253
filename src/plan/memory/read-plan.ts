import { type Address, plus } from "../../bytes/address.ts";
import {
	type Extent,
	endOf,
	goesOn,
	joined,
	type Placed,
	place,
	placedPiecesOf,
	rangeOf,
	within,
} from "../../bytes/extent.ts";
import { firstEndingAbove, intersect, type Range } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import { IOV_MAX } from "../../linux/io.ts";

/** What one read brings in, to one or many places. */
export interface PlannedRead {
	readonly bytes: Extent;
	/** Where they go, in their order: at most IOV_MAX, and together as long as they are. */
	readonly places: readonly Range[];
	/** What is done first about the one place it then has: `huge` ones are whole, aligned huge pages. */
	readonly pages?: "huge" | "small";
}

/** Private anonymous memory: what is written there is all it will have, so its pages may be made beforehand. */
export interface Spacious extends Range {
	/** Whether huge ones will do. */
	readonly huge: boolean;
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
 * As few reads as do it: contents that follow one another in their file become one, wherever in memory they go; what
 * fills much of a `spacious` range is read by itself.
 *
 * @param contents Bytes that their sources have.
 * @param spacious Sorted, without overlaps.
 * @param chunk The most bytes of one read, a multiple of HUGE_PAGE.
 */
export function readsOf(
	contents: readonly Placed<Address>[],
	spacious: readonly Spacious[],
	chunk: bigint,
): PlannedRead[] {
	const reads: PlannedRead[] = [];
	let open: { bytes: Extent; readonly places: Range[] } | undefined;
	const close = (): void => {
		if (open !== undefined) reads.push(open);
		open = undefined;
	};
	for (const content of inFileOrder(contents)) {
		for (const { bytes, pages } of partsOf(content, spacious, chunk)) {
			const range = rangeOf(bytes);
			if (pages !== undefined) {
				close();
				reads.push({ bytes, places: [range], pages });
				continue;
			}
			const follows =
				open !== undefined &&
				goesOn(open.bytes, bytes) &&
				open.places.length < IOV_MAX &&
				open.bytes.length + bytes.length <= chunk;
			if (!follows) close();
			open = { bytes: open === undefined ? bytes : joined(open.bytes, bytes), places: open?.places ?? [] };
			open.places.push(range);
		}
	}
	close();
	return reads;
}

/** By place in the file; neighbours in both file and memory made one. */
function inFileOrder(contents: readonly Placed<Address>[]): Placed<Address>[] {
	const order = new Map<ByteSource, number>();
	for (const { source } of contents) if (!order.has(source)) order.set(source, order.size);
	const rank = ({ source }: Extent): number => order.get(source) ?? 0;
	const sorted = [...contents].sort((a, b) =>
		a.source === b.source ? (a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0) : rank(a) - rank(b),
	);
	const whole: Placed<Address>[] = [];
	for (const content of sorted) {
		const last = whole.at(-1);
		if (last !== undefined && goesOn(last, content) && endOf(last) === content.start)
			whole[whole.length - 1] = place(last.start, joined(last, content));
		else whole.push(content);
	}
	return whole;
}

/** A part of contents that one read may bring in. */
interface PlannedPart {
	readonly bytes: Placed<Address>;
	readonly pages?: "huge" | "small";
}

/** At most `chunk` bytes each: those whose pages are made beforehand, and the rest between them. */
function* partsOf(content: Placed<Address>, spacious: readonly Spacious[], chunk: bigint): Generator<PlannedPart> {
	const whole = rangeOf(content);
	const chunks = function* (range: Range, more: Pick<PlannedPart, "pages"> = {}): Generator<PlannedPart> {
		const part = within(content, range);
		for (const bytes of part === undefined ? [] : placedPiecesOf(part, chunk)) yield { bytes, ...more };
	};
	let at = whole.start;
	for (let i = firstEndingAbove(spacious, at); i < spacious.length; i++) {
		const range = spacious[i];
		const part = range && intersect(range, whole);
		if (range === undefined || part === undefined) break;
		const start = range.huge ? hugeCeil(part.start) : part.start;
		const end = range.huge ? hugeFloor(part.end) : part.end;
		if (end - start < WORTH_MAKING) continue;
		yield* chunks({ start: at, end: start });
		yield* chunks({ start, end }, { pages: range.huge ? "huge" : "small" });
		at = end;
	}
	yield* chunks({ start: at, end: whole.end });
}

const hugeFloor = (at: Address): Address => plus(at, -(at % HUGE_PAGE));
const hugeCeil = (at: Address): Address => hugeFloor(plus(at, HUGE_PAGE - 1n));
