import type { Elf64Phdr } from "../../elf/file.ts";
import type { PartialMapping, PartialTask } from "../partial-task.ts";
import type { OpenObject } from "../program-objects.ts";
import { headersOf, protectionAt } from "./program-headers.ts";

/**
 * folklore: gdb leaves clean file mappings out of its cores, text above all; what ld.so gave them is in the object's program
 * headers.
 */
export function withLinkedProtections(dead: PartialTask, open: OpenObject): PartialTask {
	const loads = new Map<string, readonly Elf64Phdr[] | undefined>();
	const linked = (mapping: PartialMapping): PartialMapping => {
		const { file } = mapping;
		if (mapping.prot !== undefined || file === undefined || file.deleted) return mapping;
		if (!loads.has(file.path)) loads.set(file.path, headersOf(open(file.path)));
		const prot = protectionAt(loads.get(file.path) ?? [], file.offset);
		return prot === undefined ? mapping : { ...mapping, prot };
	};
	return { ...dead, memory: { ...dead.memory, mappings: dead.memory.mappings.map(linked) } };
}
