import type { Registers } from "../../arch/architecture.ts";
import { type Address, hex, PAGE_SIZE, pageCeil, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { cutPlaced, type Placed } from "../../bytes/extent.ts";
import type { Core } from "../../core/core.ts";
import type { CoreMapping } from "../../core/mappings.ts";
import type { CoreMemory } from "../../core/memory.ts";
import { type Finding, loss } from "../../finding.ts";
import type { PartialMapping } from "../../forest/partial-task.ts";
import { AT } from "../../linux/auxv.ts";
import { PROT_READ } from "../../linux/mman.ts";

/** From here up is the kernel's; only [vsyscall] ever shows there. */
const KERNEL_HALF = 1n << 63n;

/** The widest vvar area that kernels have had: 4 pages of data and, from 6.13, 2 of clocks (arch/x86/entry/vdso). */
const VVAR_MOST = 6n * PAGE_SIZE;

/** The mappings of a core, with vdso, vvar and vsyscall recognised. */
export function mappingsOfCore(core: Core<Registers>, memory: CoreMemory): PartialMapping[] {
	const vdso = core.auxv.find(({ type }) => type === AT.SYSINFO_EHDR)?.value;
	const vvar = vvarBelow(vdso, memory.mappings);
	return memory.mappings.map((mapping): PartialMapping => {
		const { start, end, prot, file, segment } = mapping;
		const kernel = start === vdso ? "vdso" : start >= KERNEL_HALF ? "vsyscall" : vvar.has(mapping) ? "vvar" : undefined;
		return {
			start,
			end,
			held: memory.locate(start).kind === "core" ? (segment?.available ?? 0n) : 0n,
			...(segment?.missing === undefined || segment.missing === 0n ? {} : { missing: segment.missing }),
			...defined({ prot, file, kernel }),
		};
	});
}

/** What a core lost that was cut short: memory of the program's own, and what it had changed of files. */
export function missingFindings(name: string, mappings: readonly PartialMapping[]): Finding[] {
	const cut = mappings.filter(({ missing = 0n, kernel }) => missing > 0n && kernel === undefined);
	const of = (files: boolean, what: string): Finding[] => {
		const parts = cut.filter(({ file }) => (file !== undefined && !file.deleted) === files);
		const [first] = parts;
		if (first === undefined) return [];
		const bytes = parts.reduce((sum, { missing = 0n }) => sum + missing, 0n);
		const where = `${parts.length} mapping${parts.length === 1 ? "" : "s"} from ${hex(plus(first.start, first.held))} on`;
		return [loss("contents-lost", name, `was cut short: ${bytes} bytes of ${where} are missing; ${what}`)];
	};
	return [
		...of(false, "they read as zeros"),
		...of(true, "what the program had changed there is as its files have it"),
	];
}

/** vvar is what lies directly below the vdso, nameless and readable only. */
function vvarBelow(vdso: bigint | undefined, mappings: readonly CoreMapping[]): ReadonlySet<CoreMapping> {
	const found = new Set<CoreMapping>();
	let end = vdso;
	for (const mapping of [...mappings].reverse()) {
		if (end === undefined || mapping.end > end) continue;
		const fits = mapping.end === end && mapping.file === undefined && mapping.prot === PROT_READ;
		if (!fits || (vdso ?? 0n) - mapping.start > VVAR_MOST) break;
		found.add(mapping);
		end = mapping.start;
	}
	return found;
}

/**
 * Every byte the core holds, by address. A segment that was cut short on purpose (the ELF header of a file mapping) yields
 * only the pages it has; what follows is the file's.
 */
export const contentsOfCore = (memory: CoreMemory): Placed<Address>[] =>
	memory.mappings.flatMap(({ start, segment }) => {
		// a segment may be zeros in the place of memory that its writer could not read (execute-only)
		if (segment === undefined || memory.locate(start).kind !== "core") return [];
		return [cutPlaced(segment, 0n, pageCeil(segment.available))];
	});
