import { address, hex } from "../../bytes/address.ts";
import { contains, firstEndingAbove, lengthOf } from "../../bytes/range.ts";
import { caution, type Finding } from "../../finding.ts";
import type { PartialMapping, PartialTask } from "../../forest/partial-task.ts";
import type { Mapping, Memory } from "../../forest/task.ts";
import { PROT_READ, PROT_WRITE, protText } from "../../linux/mman.ts";

/** folklore: gdb (gcore, seen with 13.1) marks every segment readable: PROT_NONE shows as r--, execute-only as r-x. */
export const shownByGdb = (prot: number): number => prot | PROT_READ;

/**
 * The protection of a dead mapping. The kernel's cores tell it; gdb's show every segment readable and leave clean file
 * mappings out, so there the donor's counterpart decides. Without one, a readable mapping directly below a writable one is taken
 * for the guard of a stack where the donor has guards of that size, or, without a donor, where a thread's stack is above.
 */
export function protectionOf(
	mapping: PartialMapping,
	dead: PartialTask,
	donor: Memory | undefined,
	counterpart: Mapping | undefined,
	report: (finding: Finding) => void,
): number {
	if (mapping.kernel !== undefined) return counterpart?.prot ?? mapping.prot ?? PROT_READ;
	if (dead.writer === "kernel" && mapping.prot !== undefined) return mapping.prot;
	if (counterpart !== undefined && (mapping.prot === undefined || mapping.prot === shownByGdb(counterpart.prot)))
		return counterpart.prot;
	const shown = mapping.prot ?? counterpart?.prot ?? PROT_READ;
	if (shown !== PROT_READ || mapping.file !== undefined) return shown;
	if (guards(mapping, dead, donor)) return 0;
	report(
		caution(
			"protection",
			`mapping ${hex(mapping.start)}`,
			`gdb's cores do not tell its protection; ${protText(shown)} is assumed`,
		),
	);
	return shown;
}

function guards(mapping: PartialMapping, dead: PartialTask, donor: Memory | undefined): boolean {
	const above = dead.memory.mappings[firstEndingAbove(dead.memory.mappings, mapping.end)];
	const stack = above !== undefined && above.start === mapping.end && ((above.prot ?? 0) & PROT_WRITE) !== 0;
	if (!stack) return false;
	if (donor === undefined) return dead.threads.some(({ registers }) => contains(above, address(registers.sp)));
	return donor.mappings.some((other, i) => {
		const next = donor.mappings[i + 1];
		return (
			other.prot === 0 &&
			lengthOf(other) === lengthOf(mapping) &&
			next?.start === other.end &&
			(next.prot & PROT_WRITE) !== 0 &&
			lengthOf(next) === lengthOf(above)
		);
	});
}
