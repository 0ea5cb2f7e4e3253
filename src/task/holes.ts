import { type FileOffset, fileOffset, PAGE_SIZE, plus } from "../bytes/address.ts";
import { firstEndingAbove } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Content } from "./task.ts";

/** Bytes of a file from `start` up to, not including, `end`. */
export interface FileRange {
	readonly start: FileOffset;
	readonly end: FileOffset;
}

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
	contents: readonly Content[],
	source: ByteSource,
	holes: readonly FileRange[],
): Content[] =>
	holes.length === 0
		? [...contents]
		: contents.flatMap((content) => (content.source === source ? [...pieces(content, holes)] : [content]));

function* pieces(content: Content, holes: readonly FileRange[]): Generator<Content> {
	const { offset, available, length } = content;
	let done = 0n;
	for (let i = firstEndingAbove(holes, offset); i < holes.length; i++) {
		const hole = holes[i];
		if (hole === undefined || hole.start >= offset + available) break;
		const from = hole.start > offset ? pagesUp(hole.start - offset) : 0n;
		const to = hole.end >= offset + available ? length : hole.end - offset - ((hole.end - offset) % PAGE_SIZE);
		if (to - from < WORTH_SKIPPING) continue;
		if (from > done) yield part(content, done, from);
		yield { ...part(content, from, to), available: 0n };
		done = to;
	}
	if (done < length) yield part(content, done, length);
}

function part(content: Content, from: bigint, to: bigint): Content {
	const left = content.available > from ? content.available - from : 0n;
	return {
		...content,
		start: plus(content.start, from),
		length: to - from,
		offset: fileOffset(content.offset + from),
		available: left < to - from ? left : to - from,
	};
}

const pagesUp = (bytes: bigint): bigint => ((bytes + PAGE_SIZE - 1n) / PAGE_SIZE) * PAGE_SIZE;
