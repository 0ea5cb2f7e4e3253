import type { Agent } from "../agent/agent.ts";
import { putCloneArgs } from "../agent/spawn.ts";
import { CLONE } from "../linux/sched.ts";
import { contextLayout, NO_REPORTS } from "../program/abi.ts";
import { inChild, type Obstacle } from "./probe.ts";

/**
 * Tries to make a pid namespace and, in it, a process with an id of our choice.
 *
 * folklore: on Ubuntu since 23.10 everybody can make a user namespace, but has no capabilities in it unless an AppArmor profile
 * allows them; so the pid namespace has to be tried.
 *
 * @param id at least as high as any that will be wanted there: before Linux 6.14 kernel.pid_max holds for all namespaces.
 */
export function probePidNamespace(
	agent: Agent,
	{ withUser = false, id = 1 }: { readonly withUser?: boolean; readonly id?: number } = {},
): Promise<Obstacle> {
	return inChild(
		agent,
		(list, batch) => {
			const ends = batch.list();
			ends.call("exit_group", [0]);
			const context = batch.put(contextLayout.encode({ report_fd: NO_REPORTS, task: 0n }));
			const args = putCloneArgs(batch, agent, { pids: [judgedId(id)] });
			return list.call("spawn", [args, args.size, context, { list: ends }], { anyway: true });
		},
		{ flags: CLONE.NEWPID | (withUser ? CLONE.NEWUSER : 0) },
	);
}

/** A multiple of 256, which is what {@link inChild} takes for success; no higher than any id can be (PID_MAX_LIMIT, 2^22). */
const judgedId = (id: number): number => Math.min(Math.ceil(Math.max(id, 2) / 256) * 256, (1 << 22) - 256);
