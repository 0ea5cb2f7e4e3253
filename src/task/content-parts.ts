import { fileOffset, hex, isPageAligned, plus } from "../bytes/address.ts";
import { firstEndingAbove, intersect, lengthOf } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Content, Mapping } from "./task.ts";

/** A stretch of bytes within one mapping. `available` is no more than `length`. */
export interface ContentPart extends Content {
	readonly mapping: Mapping;
}

/**
 * A run of contents by the mappings it lies in: CRIU lets one run span neighbours.
 *
 * @param solid mappings sorted, without overlaps: no guards among them.
 * @throws NecromancerError ERR_TASK_UNRUNNABLE where it is not whole pages of private memory.
 */
export function* contentParts(content: Content, solid: readonly Mapping[]): Generator<ContentPart, void> {
	const { source, offset, available } = content;
	const whole = { start: content.start, end: plus(content.start, content.length) };
	const stray = (at: bigint): never =>
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: source.name,
			finding: `holds bytes of ${hex(at)}`,
			expectation: "expected an address in private memory",
		});
	if (!isPageAligned(whole.start) || !isPageAligned(whole.end) || whole.end < whole.start) stray(whole.start);
	let at = whole.start;
	for (let i = firstEndingAbove(solid, at); at < whole.end; i++) {
		const mapping = solid[i];
		const part = mapping === undefined ? undefined : intersect(mapping, whole);
		if (mapping === undefined || part === undefined || part.start !== at || !hasOwnBytes(mapping)) return stray(at);
		const length = lengthOf(part);
		const skipped = at - whole.start;
		const held = available > skipped ? available - skipped : 0n;
		yield {
			mapping,
			start: at,
			length,
			source,
			offset: fileOffset(offset + skipped),
			available: held < length ? held : length,
		};
		at = part.end;
	}
}

/** An AIO ring is a shared mapping, but no other process maps it. */
const hasOwnBytes = ({ shared, backing }: Mapping): boolean => !shared || backing.kind === "aio";
