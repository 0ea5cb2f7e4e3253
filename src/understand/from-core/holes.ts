import { type Address, PAGE_SIZE, pagesUp } from "../../bytes/address.ts";
import { cutPlaced, type Placed } from "../../bytes/extent.ts";
import { type FileRange, firstEndingAbove } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";

/** A smaller hole is read sooner than it is remembered. */
const WORTH_SKIPPING = 16n * PAGE_SIZE;

/**
 * The same contents, where whole pages that lie in holes of their file are known to be zeros without a look at them
 * (`available` is 0).
 *
 * @param contents Sorted, as they are in a task.
 * @param holes Of `source`, ascending, without overlaps.
 */
export const withoutHoles = (
	contents: readonly Placed<Address>[],
	source: ByteSource,
	holes: readonly FileRange[],
): Placed<Address>[] =>
	holes.length === 0
		? [...contents]
		: contents.flatMap((content) => (content.source === source ? [...pieces(content, holes)] : [content]));

function* pieces(content: Placed<Address>, holes: readonly FileRange[]): Generator<Placed<Address>> {
	const { offset, available, length } = content;
	let done = 0n;
	for (let i = firstEndingAbove(holes, offset); i < holes.length; i++) {
		const hole = holes[i];
		if (hole === undefined || hole.start >= offset + available) break;
		const from = hole.start > offset ? pagesUp(hole.start - offset) : 0n;
		const to = hole.end >= offset + available ? length : hole.end - offset - ((hole.end - offset) % PAGE_SIZE);
		if (to - from < WORTH_SKIPPING) continue;
		if (from > done) yield cutPlaced(content, done, from);
		yield { ...cutPlaced(content, from, to), available: 0n };
		done = to;
	}
	if (done < length) yield cutPlaced(content, done);
}
