import { lengthOf, type Range } from "../../bytes/range.ts";
import type { Memory } from "../../forest/task.ts";
import { PROT_READ, PROT_WRITE } from "../../linux/mman.ts";

/** folklore: gdb (gcore, seen with 13.1) marks every segment readable: PROT_NONE shows as r--, execute-only as r-x. */
export const shownByGdb = (prot: number): number => prot | PROT_READ;

/** Whether a donor has memory without access of that size directly below memory as large as what lies above it here. */
export const isStackGuard = (mapping: Range, above: Range, { mappings }: Memory): boolean =>
	mappings.some((other, i) => {
		const next = mappings[i + 1];
		return (
			other.prot === 0 &&
			lengthOf(other) === lengthOf(mapping) &&
			next?.start === other.end &&
			(next.prot & PROT_WRITE) !== 0 &&
			lengthOf(next) === lengthOf(above)
		);
	});
