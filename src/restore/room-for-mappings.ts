import { readFileSync } from "node:fs";
import { type Range, rangeAt } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Mapping, Task } from "../task/task.ts";

const SYSCTL = "/proc/sys/vm/max_map_count";

/**
 * Refuses a process of more mappings than this host lets one have.
 *
 * @throws NecromancerError ERR_HOST
 */
export function requireRoomForMappings({ memory }: Task, views: readonly Range[] = [], most = mostMappings()): void {
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

/** `undefined` where /proc/sys is not shown. */
function mostMappings(): number | undefined {
	try {
		const most = Number(readFileSync(SYSCTL, "latin1"));
		return Number.isInteger(most) ? most : undefined;
	} catch {
		return undefined;
	}
}
