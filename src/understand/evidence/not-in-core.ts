import { hex } from "../../bytes/address.ts";
import { lengthOf } from "../../bytes/range.ts";
import { isKernelOwned } from "../../core/files.ts";
import { refuse } from "../../errors.ts";
import { caution, type Finding } from "../../finding.ts";
import type { PartialMapping, PartialTask } from "../../forest/partial-task.ts";
import { PROT_EXEC, PROT_WRITE } from "../../linux/mman.ts";

/**
 * Refuses to run zeros: a file that was deleted is nowhere, and of its code most cores hold nothing.
 *
 * @param insisted The user wants it all the same.
 * @throws NecromancerError ERR_BINARY_MISSING
 */
export function requireCode({ memory }: PartialTask, insisted: boolean): void {
	if (insisted) return;
	for (const { start, end, prot = 0, file, held } of memory.mappings) {
		const missing = lengthOf({ start, end }) - held;
		if (file === undefined || !file.deleted || isKernelOwned(file) || (prot & PROT_EXEC) === 0 || missing <= 0n)
			continue;
		refuse("ERR_BINARY_MISSING", {
			subject: file.path,
			finding: `was deleted, and ${missing} bytes of its code at ${hex(start)} are not in the core`,
			expectation: "expected its code",
			remedy:
				"raise it with a copy of the file (--map-file OLD=NEW, or --search DIR), or insist with --allow-mismatch: what is missing reads as zeros then",
		});
	}
}

/**
 * Says which writable memory the core has nothing of. A kernel leaves out what was never written to, which is zeros, and what
 * was kept out (MADV_DONTDUMP), which is lost; nothing in a core tells the two apart (fs/coredump.c, vma_dump_size).
 */
export function reportNotDumped({ memory, writer }: PartialTask, report: (finding: Finding) => void): void {
	if (writer !== "kernel") return;
	const absent = memory.mappings.filter(isAbsent);
	const [first] = absent;
	if (first === undefined) return;
	const bytes = absent.reduce((sum, mapping) => sum + lengthOf(mapping), 0n);
	report(
		caution(
			"contents-lost",
			absent.length === 1 ? `mapping ${hex(first.start)}` : `${absent.length} mappings from ${hex(first.start)} on`,
			`${bytes} bytes of writable memory, none of it in the core: never written to, or kept out of it (MADV_DONTDUMP); they read as zeros`,
		),
	);
}

const isAbsent = ({ prot = 0, file, held, kernel }: PartialMapping): boolean =>
	file === undefined && kernel === undefined && held === 0n && (prot & PROT_WRITE) !== 0;
