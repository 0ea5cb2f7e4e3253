import { existsSync, readFileSync } from "node:fs";
import type { Mapping } from "../forest/task.ts";
import { maskFrom } from "../linux/mempolicy.ts";
import { readMemoryPolicies } from "../proc/numa-maps.ts";

const NODES = "/sys/devices/system/node/online";

/**
 * Mappings with their memory policies, where there is more than one node to choose from.
 *
 * @param own The first thread's policy: that is what the kernel tells of a mapping without one.
 */
export function withPolicies(pid: number, mappings: readonly Mapping[], own = 0n): readonly Mapping[] {
	const nodes = existsSync(NODES) ? maskFrom(readFileSync(NODES, "latin1")) : 0n;
	if ((nodes & (nodes - 1n)) === 0n) return mappings;
	return policed(mappings, readMemoryPolicies(pid), own);
}

export const policed = (
	mappings: readonly Mapping[],
	policies: ReadonlyMap<bigint, bigint>,
	own: bigint,
): readonly Mapping[] =>
	mappings.map((mapping) => {
		const policy = policies.get(mapping.start) ?? 0n;
		const plain = ["anonymous", "file", "object"].includes(mapping.backing.kind);
		if (policy === 0n || policy === own || !plain) return mapping;
		return { ...mapping, attributes: { ...mapping.attributes, "memory-policy": policy } };
	});
