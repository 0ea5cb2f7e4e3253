import { type Address, hex, isPageAligned } from "../bytes/address.ts";
import { type Placed, rangeOf, within } from "../bytes/extent.ts";
import { firstEndingAbove } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Mapping } from "./task.ts";

/** A stretch of bytes within one mapping. */
export interface ContentPart extends Placed<Address> {
	readonly mapping: Mapping;
}

/**
 * A run of contents by the mappings it lies in: CRIU lets one run span neighbours.
 *
 * @param solid mappings sorted, without overlaps: no guards among them.
 * @throws NecromancerError ERR_TASK_UNRUNNABLE where it is not whole pages of private memory.
 */
export function* contentParts(content: Placed<Address>, solid: readonly Mapping[]): Generator<ContentPart, void> {
	const whole = rangeOf(content);
	const stray = (at: bigint): never =>
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: content.source.name,
			finding: `holds bytes of ${hex(at)}`,
			expectation: "expected an address in private memory",
		});
	if (!isPageAligned(whole.start) || !isPageAligned(whole.end) || whole.end < whole.start) stray(whole.start);
	let at = whole.start;
	for (let i = firstEndingAbove(solid, at); at < whole.end; i++) {
		const mapping = solid[i];
		const part = mapping && within(content, mapping);
		if (mapping === undefined || part === undefined || part.start !== at || !hasOwnBytes(mapping)) return stray(at);
		yield { ...part, mapping };
		at = rangeOf(part).end;
	}
}

/** An AIO ring is a shared mapping, but no other process maps it. */
const hasOwnBytes = ({ shared, backing }: Mapping): boolean => !shared || backing.kind === "aio";
