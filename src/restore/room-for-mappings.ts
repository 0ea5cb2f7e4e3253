import { type Range, rangeAt } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { readMaxMapCount } from "../proc/sys.ts";
import type { Mapping, Task } from "../task/task.ts";

/**
 * Refuses a process of more mappings than this host lets one have.
 *
 * @throws NecromancerError ERR_HOST
 */
export function requireRoomForMappings({ memory }: Task, views: readonly Range[] = [], most = readMaxMapCount()): void {
	// guards are marks within mappings
	const mappings = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const needed = mappings.length + splits(mappings, views);
	if (most === undefined || needed <= most) return;
	refuse("ERR_HOST", {
		subject: "vm.max_map_count",
		finding: `is ${most}`,
		expectation:
			needed === mappings.length
				? `expected at least the ${needed} mappings that the process had`
				: `expected at least ${needed}: the ${mappings.length} mappings that the process had, some in parts (--lazy)`,
		remedy: `raise it: sysctl vm.max_map_count=${2 ** Math.ceil(Math.log2(needed + 64))}`,
	});
}

/** Each view is a mapping of its own, and leaves what lies before and behind it in others. */
function splits(mappings: readonly Mapping[], views: readonly Range[]): number {
	const ends = new Map<Mapping, bigint>();
	let parts = 0;
	for (const { start, end } of views) {
		const mapping = rangeAt(mappings, start);
		if (mapping === undefined) continue;
		// what lies behind the last one is the part that was there already
		if (start > (ends.get(mapping) ?? mapping.start)) parts++;
		parts++;
		ends.set(mapping, end);
	}
	for (const [{ end }, last] of ends) if (last === end) parts--;
	return parts;
}
