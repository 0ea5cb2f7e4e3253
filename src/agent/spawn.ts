import { i32, viewOf } from "../bytes/layout.ts";
import { lengthOf } from "../bytes/range.ts";
import { cloneArgs } from "../linux/sched.ts";
import { SIGCHLD, SIGKILL } from "../linux/signal.ts";
import type { Agent } from "./agent.ts";
import { type BatchArg, EVERY_BIT, label, type Slot, type SyscallBatch } from "./batch.ts";

/** A process for the agent to make. It has a copy of all of the agent's memory, and runs a list of steps in it. */
export interface Spawning {
	/** `struct context`: where it reports a failed step. */
	readonly context: BatchArg;
	/** The first step. */
	readonly steps: BatchArg;
	/** Its pid in its own pid namespace, in the one around that, and so on; the kernel chooses when absent. */
	readonly pids?: readonly number[];
	/** CLONE_ flags besides. */
	readonly flags?: number;
	/** Where its pid goes, instead of the batch's memory: see {@link registerKills}. */
	readonly store?: Slot;
}

/**
 * Has the agent make a process. The result is its pid, or -errno of clone3(2); of clone(2) where clone3 is hidden and no pid is
 * asked for.
 */
export function addSpawn(batch: SyscallBatch, agent: Agent, { context, steps, store, ...kind }: Spawning): Slot {
	const args = putCloneArgs(batch, agent, kind);
	const deed = agent.clone3 || (kind.pids ?? []).length > 0 ? "spawn" : "clone";
	if (store === undefined) return batch.call(deed, args, args.size, context, steps);
	batch.callInto(store, deed, args, args.size, context, steps);
	return store;
}

/** `struct clone_args` for a process of the agent, or for one that such a process makes. */
export function putCloneArgs(
	batch: SyscallBatch,
	{ layout }: Agent,
	{ pids = [], flags = 0 }: Pick<Spawning, "pids" | "flags">,
): Slot {
	const numbers = Buffer.alloc(i32.size * pids.length);
	for (const [i, pid] of pids.entries()) i32.write(viewOf(numbers), i * i32.size, pid);
	const args = cloneArgs.encode({
		flags: BigInt(flags),
		pidfd: 0n,
		child_tid: 0n,
		parent_tid: 0n,
		exit_signal: BigInt(SIGCHLD),
		// Not the agent's stack: the process may have to unmap that one.
		stack: layout.stack.start,
		stack_size: lengthOf(layout.stack),
		tls: 0n,
		set_tid: pids.length === 0 ? 0n : batch.put(numbers).at,
		set_tid_size: BigInt(pids.length),
		cgroup: 0n,
	});
	return batch.put(args);
}

/** Has the agent make a process. Its pid, or -errno of clone3(2): EEXIST when the pid is taken. */
export async function spawnTask(agent: Agent, spawning: Spawning): Promise<bigint> {
	const batch = agent.batch();
	const { at } = addSpawn(batch, agent, spawning);
	await agent.perform(batch, { doing: "making a process" });
	const { reply } = await agent.run({ reply: { at, length: 8 } });
	return reply.readBigInt64LE();
}

/**
 * Registers an undo list that kills the processes which the agent is about to make, if our process ends before they are
 * complete. Unlike PR_SET_PDEATHSIG it survives their change of ids.
 *
 * @param alsoUndone adds what else is undone once they are killed.
 * @returns where their pids are to go.
 */
export async function registerKills(
	agent: Agent,
	count: number,
	alsoUndone: (undo: SyscallBatch) => void = () => {},
): Promise<readonly Slot[]> {
	const undo = agent.undoList();
	const pids = Array.from({ length: count }, () => undo.space(8));
	for (const pid of pids) {
		const [positive, next] = [label("a pid, or none yet"), label("the next")];
		// an errno would name a process group, and 0 our own
		undo.branch({ valueOf: pid }, ~0x7fff_ffffn, 0, positive);
		undo.jump(next);
		undo.mark(positive);
		undo.branch({ valueOf: pid }, EVERY_BIT, 0, next);
		undo.call("kill", { valueOf: pid }, SIGKILL);
		undo.mark(next);
	}
	alsoUndone(undo);
	await agent.perform(agent.batch(), { undo });
	return pids;
}

/** Clears the undo list: the processes are complete, or have ended. */
export const clearUndo = async (agent: Agent): Promise<void> =>
	void (await agent.perform(agent.batch(), { undo: undefined }));
