import { existsSync, readFileSync } from "node:fs";
import type { Address } from "../bytes/address.ts";
import { maskFrom, policyFrom } from "../linux/mempolicy.ts";
import { ofProcess } from "../proc/process.ts";
import type { Mapping } from "../task/task.ts";

const NODES = "/sys/devices/system/node/online";

/**
 * Mappings with their memory policies, where there is more than one node to choose from.
 *
 * @param own The first thread's policy: that is what the kernel tells of a mapping without one.
 */
export function withPolicies(pid: number, mappings: readonly Mapping[], own = 0n): readonly Mapping[] {
	const nodes = existsSync(NODES) ? maskFrom(readFileSync(NODES, "latin1")) : 0n;
	if ((nodes & (nodes - 1n)) === 0n) return mappings;
	return policed(mappings, policiesFrom(ofProcess(pid, "numa_maps")), own);
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

/** By the start of the mapping. */
export const policiesFrom = (text: string): ReadonlyMap<bigint, bigint> =>
	new Map(
		[
			...text.matchAll(
				/^([\da-f]+) ((?:prefer \(many\)|weighted interleave|[a-z]+)(?:=[a-z|]+)?(?::[\d,-]+)?)(?= |$)/gm,
			),
		].map(([, start = "0", policy = ""]) => [BigInt(`0x${start}`) as Address, policyFrom(policy) ?? 0n]),
	);
