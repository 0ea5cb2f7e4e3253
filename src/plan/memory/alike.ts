import { type Address, PAGE_SIZE, plus } from "../../bytes/address.ts";
import { endOf, least, type Placed, within } from "../../bytes/extent.ts";
import type { Range } from "../../bytes/range.ts";

/** Bytes that are compared at once: what both hold of them is all that is in memory. */
const AT_ONCE = 1n << 20n;

/**
 * The pages that two lists of contents hold with the same bytes.
 *
 * @param one Ascending, whole pages; of both only what their sources have counts.
 * @returns ascending, neighbours as one.
 */
export function pagesAlike(one: readonly Placed<Address>[], other: readonly Placed<Address>[]): Range[] {
	const found: Range[] = [];
	const add = (start: Address, end: Address): void => {
		const last = found.at(-1);
		if (last?.end === start) found[found.length - 1] = { start: last.start, end };
		else found.push({ start, end });
	};
	for (let i = 0, k = 0; i < one.length && k < other.length; ) {
		const [a, b] = [one[i], other[k]];
		if (a === undefined || b === undefined) break;
		const end = least(heldEnd(a), heldEnd(b));
		for (let at = a.start > b.start ? a.start : b.start; at < end; ) {
			const next = plus(at, least(AT_ONCE, end - at));
			for (const range of alikeIn(a, b, { start: at, end: next })) add(range.start, range.end);
			at = next;
		}
		if (endOf(a) <= endOf(b)) i++;
		else k++;
	}
	return found;
}

/** Where the last whole page ends that its source has. */
const heldEnd = ({ start, available }: Placed<Address>): Address => plus(start, available - (available % PAGE_SIZE));

function* alikeIn(a: Placed<Address>, b: Placed<Address>, range: Range): Generator<Range> {
	const [ours, theirs] = [within(a, range), within(b, range)];
	if (ours === undefined || theirs === undefined) return;
	if (ours.source === theirs.source && ours.offset === theirs.offset) return yield range;
	const length = Number(range.end - range.start);
	const [left, right] = [ours.source.read(ours.offset, length), theirs.source.read(theirs.offset, length)];
	if (left === undefined || right === undefined) return;
	if (left.equals(right)) return yield range;
	const page = Number(PAGE_SIZE);
	for (let at = 0; at < length; at += page)
		if (left.compare(right, at, at + page, at, at + page) === 0) {
			const start = plus(range.start, BigInt(at));
			yield { start, end: plus(start, PAGE_SIZE) };
		}
}
