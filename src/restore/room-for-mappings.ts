import { readFileSync } from "node:fs";
import { refuse } from "../errors.ts";
import type { Task } from "../task/task.ts";

const SYSCTL = "/proc/sys/vm/max_map_count";

/**
 * Refuses a process of more mappings than this host lets one have.
 *
 * @throws NecromancerError ERR_HOST
 */
export function requireRoomForMappings({ memory: { mappings } }: Task, most = mostMappings()): void {
	if (most === undefined || mappings.length <= most) return;
	refuse("ERR_HOST", {
		subject: "vm.max_map_count",
		finding: `is ${most}`,
		expectation: `expected at least the ${mappings.length} mappings that the process had`,
		remedy: `raise it: sysctl vm.max_map_count=${2 ** Math.ceil(Math.log2(mappings.length + 64))}`,
	});
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
