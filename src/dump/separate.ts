import type { Agent } from "../agent/agent.ts";
import { refuse } from "../errors.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readNamespace } from "../proc/namespaces.ts";
import { type Class, classesOf, compareByKernel } from "../trace/kcmp.ts";

/** What threads share and processes may (clone(2)); CRIU's images have no place for it between processes. */
const refused = {
	VM: "their memory (CLONE_VM, as between vfork and exec)",
	FS: "their working directory, root and umask (CLONE_FS)",
	SIGHAND: "their signal handlers (CLONE_SIGHAND)",
} as const;

/**
 * Refuses processes that share what only threads share as a rule, and those whose clocks are not the same: images have one time
 * namespace for all.
 *
 * @throws NecromancerError ERR_UNSUPPORTED
 */
export async function requireSeparate(agent: Agent, pids: readonly number[]): Promise<void> {
	const times = pids.map((pid) => ifShown(() => readNamespace(pid, "time")));
	const other = times.findIndex((time) => time !== times[0]);
	if (other >= 0)
		refuse("ERR_UNSUPPORTED", {
			subject: `processes ${pids[0]}, ${pids[other]}`,
			finding: `are in two time namespaces (${times[0]}, ${times[other]})`,
			expectation: "expected one: images have no place for more",
			remedy: "dump each part of the tree by itself",
		});
	for (const what of Object.keys(refused) as (keyof typeof refused)[]) {
		const classes = await sharing(agent, what, pids, (pid) => pid);
		const several = classes.find(({ length }) => length > 1);
		if (several === undefined) continue;
		refuse("ERR_UNSUPPORTED", {
			subject: `processes ${several.join(", ")}`,
			finding: `share ${refused[what]}`,
			expectation: "expected each to have its own: they cannot be dumped yet",
			...(what === "VM" ? { remedy: "try again when one of them has become another program, or has ended" } : {}),
		});
	}
}

/** Processes by the descriptor tables that they have: as a rule each its own. In the order of the first of each. */
export const tablesOf = async <T extends { readonly pid: number }>(
	agent: Agent,
	processes: readonly T[],
): Promise<readonly Class<T>[]> => {
	const classes = await sharing(agent, "FILES", processes, ({ pid }) => pid);
	const place = new Map(processes.map((one, i) => [one, i]));
	return [...classes].sort(([a], [b]) => (place.get(a) ?? 0) - (place.get(b) ?? 0));
};

/** @returns each by itself where the kernel does not tell. */
async function sharing<T>(
	agent: Agent,
	what: keyof typeof refused | "FILES",
	all: readonly T[],
	pidOf: (one: T) => number,
): Promise<readonly Class<T>[]> {
	let told = true;
	const classes = await classesOf([all], async (pairs) => {
		const orders = await compareByKernel(
			agent,
			what,
			pairs.map(([a, b]) => [{ pid: pidOf(a) }, { pid: pidOf(b) }] as const),
		);
		if (orders.includes(undefined)) told = false;
		return orders;
	});
	return told ? classes : all.map((one) => [one]);
}
