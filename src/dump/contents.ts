import { type Address, pageCeil, plus } from "../bytes/address.ts";
import { extent, type Placed, place } from "../bytes/extent.ts";
import { intersect, lengthOf, type Range } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Mapping } from "../forest/task.ts";
import { MAP } from "../linux/mman.ts";
import type { TouchedRange } from "../trace/page-scan.ts";
import type { Classified } from "./mappings.ts";

/** The pages of an address space that differ from those of a fresh mapping. */
export interface Touched {
	/** Ascending, each within one mapping. */
	readonly contents: readonly Placed<Address>[];
	/** Pages that fault, inside mappings. */
	readonly guards: readonly Mapping[];
}

/**
 * Sorts the pages of a process by its mappings: private memory that was written, the vdso, and guards. Shared memory and pages
 * that are still the file's are left out.
 *
 * @param pages Ascending.
 */
export function touchedOf(
	classified: readonly Classified[],
	pages: readonly TouchedRange[],
	source: ByteSource,
): Touched {
	const contents: Placed<Address>[] = [];
	const guards: Mapping[] = [];
	let next = 0;
	for (const { mapping, orphan, fileEnd } of classified) {
		const whole = orphan !== undefined && !mapping.shared;
		if (mapping.backing.kind === "vdso" || whole) contents.push(...wholeOf(mapping, fileEnd, source));
		for (; (pages[next]?.end ?? mapping.end) <= mapping.start; ) next++;
		for (let i = next; i < pages.length; i++) {
			const page = pages[i];
			const part = page === undefined ? undefined : intersect(mapping, page);
			if (page === undefined || part === undefined) break;
			if (page.guard) guards.push(guardAt(part));
			else if (!page.ofFile && !whole && hasContents(mapping)) contents.push(contentOf(part, source));
		}
	}
	return { contents, guards };
}

const hasContents = ({ backing: { kind }, shared, flags }: Mapping): boolean =>
	!shared && (kind === "anonymous" || kind === "file" || kind === "object") && (flags & MAP.DROPPABLE) === 0;

/** Without the pages beyond the end of the mapping's file, which fault. */
function wholeOf(mapping: Mapping, fileEnd: bigint | undefined, source: ByteSource): Placed<Address>[] {
	const { start, end } = mapping;
	const readable = fileEnd === undefined ? end : pageCeil(plus(start, fileEnd > 0n ? fileEnd : 0n));
	return readable <= start ? [] : [contentOf({ start, end: readable < end ? readable : end }, source)];
}

const contentOf = (range: Range, memory: ByteSource): Placed<Address> =>
	place(range.start, extent(memory, range.start, lengthOf(range)));

const guardAt = ({ start, end }: Range): Mapping => ({
	...{ start, end, prot: 0, shared: false, flags: 0, advice: 0n },
	backing: { kind: "guard" },
});
