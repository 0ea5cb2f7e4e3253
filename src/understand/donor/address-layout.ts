import { fileOffset } from "../../bytes/address.ts";
import type { LayoutMapping, PartialMemory } from "../../forest/partial-task.ts";
import type { Mapping, Memory } from "../../forest/task.ts";
import type { AddressLayout } from "./rebase.ts";

/** An address space as the rebase sees it. */
export function layoutOf(memory: Pick<Memory, "mappings" | "bounds">): AddressLayout {
	const { bounds } = memory;
	return {
		mappings: memory.mappings.filter((mapping) => mapping.backing.kind !== "guard").map(placeOf),
		...(bounds.startBrk < bounds.brk ? { heap: { start: bounds.startBrk, end: bounds.brk } } : {}),
		startStack: bounds.startStack,
	};
}

/**
 * The mappings of a dead process, likewise.
 *
 * @param executable the donor's path of the program, used for the dead one's too: a copy elsewhere is the same program.
 */
export const layoutMappings = (memory: PartialMemory, executable: string): LayoutMapping[] =>
	memory.mappings.map((mapping) => {
		if (mapping.kernel === "vdso") return { ...mapping, file: VDSO };
		const { file } = mapping;
		return file?.path === memory.executable ? { ...mapping, file: { ...file, path: executable } } : mapping;
	});

const VDSO = { path: "[vdso]", offset: fileOffset(0) };

const placeOf = (mapping: Mapping): LayoutMapping => {
	const { start, end, prot, backing } = mapping;
	// the vdso is a file too as far as addresses go: one image, mapped at one place
	if (backing.kind === "vdso") return { start, end, prot, file: VDSO };
	return backing.kind === "file"
		? { start, end, prot, file: { path: backing.path, offset: backing.offset } }
		: { start, end, prot };
};
