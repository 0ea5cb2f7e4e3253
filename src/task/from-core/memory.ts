import { type Address, fileOffset, PAGE_SIZE, pageCeil } from "../../bytes/address.ts";
import type { Core } from "../../core/core.ts";
import type { CoreMapping } from "../../core/mappings.ts";
import type { CoreMemory } from "../../core/memory.ts";
import { AT } from "../../linux/auxv.ts";
import { PROT_READ } from "../../linux/mman.ts";
import type { PartialMapping } from "../partial-task.ts";
import type { Content } from "../task.ts";

/** From here up is the kernel's; only [vsyscall] ever shows there. */
const KERNEL_HALF = 1n << 63n;

/** The widest vvar area that kernels have had: 4 pages of data and, from 6.13, 2 of clocks (arch/x86/entry/vdso). */
const VVAR_MOST = 6n * PAGE_SIZE;

/** The mappings of a core, with what the kernel put there told apart. */
export function mappingsOfCore(core: Core, memory: CoreMemory): PartialMapping[] {
	const vdso = core.auxv.find(({ type }) => type === AT.SYSINFO_EHDR)?.value;
	const vvar = vvarBelow(vdso, memory.mappings);
	return memory.mappings.map((mapping): PartialMapping => {
		const { start, end, prot, file, segment } = mapping;
		const kernel = start === vdso ? "vdso" : start >= KERNEL_HALF ? "vsyscall" : vvar.has(mapping) ? "vvar" : undefined;
		return {
			start,
			end,
			held: memory.locate(start).kind === "core" ? (segment?.fileSize ?? 0n) : 0n,
			...(prot === undefined ? {} : { prot }),
			...(file === undefined ? {} : { file }),
			...(kernel === undefined ? {} : { kernel }),
		};
	});
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
export const contentsOfCore = (core: Core, memory: CoreMemory): Content[] =>
	memory.mappings.flatMap(({ start, segment }) => {
		// what the core has of it may be no more than zeros in the place of what its writer could not read
		if (segment === undefined || memory.locate(start).kind !== "core") return [];
		const length = pageCeil(segment.fileSize as Address);
		return [{ start, length, source: core.source, offset: fileOffset(segment.offset), available: segment.fileSize }];
	});
