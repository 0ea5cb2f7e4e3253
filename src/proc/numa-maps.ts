import { type Address, address } from "../bytes/address.ts";
import { policyFrom } from "../linux/mempolicy.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** Memory policies by the start of the mapping, as one number each ({@link policyFrom}). */
export const readMemoryPolicies = (whose: Whose): ReadonlyMap<Address, bigint> =>
	parseNumaMaps(textIn(whose, "numa_maps"));

/** /proc/PID/numa_maps (numa(7), fs/proc/task_mmu.c). */
export const parseNumaMaps = (text: string): ReadonlyMap<Address, bigint> =>
	new Map(
		[
			...text.matchAll(
				/^([\da-f]+) ((?:prefer \(many\)|weighted interleave|[a-z]+)(?:=[a-z|]+)?(?::[\d,-]+)?)(?= |$)/gm,
			),
		].map(([, start = "0", policy = ""]) => [address(BigInt(`0x${start}`)), policyFrom(policy) ?? 0n]),
	);
