import { address } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { Finding } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Bounds, Memory } from "../../forest/task.ts";
import { MAP } from "../../linux/mman.ts";
import { completeMemory } from "../complete/memory.ts";

/** The dead process's address space without a donor: private unless its name says otherwise, stacks as thread libraries map them. */
export function deduceMemory(dead: PartialTask, bounds: Bounds, report: (finding: Finding) => void): Memory {
	const memory = completeMemory(dead, undefined, bounds, [], report);
	// MAP_STACK: no huge pages since Linux 6.7, and tools recognise thread stacks by it
	const [, ...others] = dead.threads;
	const stacks = new Set(others.map(({ registers }) => rangeAt(memory.mappings, address(registers.sp))));
	return {
		...memory,
		mappings: memory.mappings.map((mapping) =>
			stacks.has(mapping) && mapping.backing.kind === "anonymous" && mapping.backing.role === undefined
				? { ...mapping, flags: mapping.flags | MAP.STACK }
				: mapping,
		),
	};
}
