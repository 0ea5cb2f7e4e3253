import { i32, viewOf } from "../bytes/layout.ts";
import { lengthOf } from "../bytes/range.ts";
import { cloneArgs } from "../linux/clone.ts";
import type { Agent } from "./agent.ts";
import type { Errand, Operand, Spot } from "./errand.ts";

/** A process for the agent to make. It has a copy of all of the agent's memory, and runs a list of steps in it. */
export interface Spawning {
	/** `struct context`: whom it tells that a step failed. */
	readonly context: Operand;
	/** The first step. */
	readonly steps: Operand;
	/** Its pid in its own pid namespace, in the one around that, and so on; the kernel chooses when absent. */
	readonly pids?: readonly number[];
	/** CLONE_ flags besides. */
	readonly flags?: number;
}

const SIGCHLD = 17n;

/** Adds to an errand that the agent makes a process; the result is its pid, or -errno of clone3(2). */
export function addSpawn(errand: Errand, agent: Agent, { context, steps, ...kind }: Spawning): Spot {
	const args = putCloneArgs(errand, agent, kind);
	return errand.call("spawn", args, args.size, context, steps);
}

/** `struct clone_args` for a process of the agent, or for one that such a process makes. */
export function putCloneArgs(
	errand: Errand,
	{ room }: Agent,
	{ pids = [], flags = 0 }: Pick<Spawning, "pids" | "flags">,
): Spot {
	const numbers = Buffer.alloc(i32.size * pids.length);
	for (const [i, pid] of pids.entries()) i32.write(viewOf(numbers), i * i32.size, pid);
	const args = cloneArgs.encode({
		flags: BigInt(flags),
		pidfd: 0n,
		child_tid: 0n,
		parent_tid: 0n,
		exit_signal: SIGCHLD,
		// The agent's own stack is where the process may have to unmap everything.
		stack: room.stack.start,
		stack_size: lengthOf(room.stack),
		tls: 0n,
		set_tid: pids.length === 0 ? 0n : errand.put(numbers).at,
		set_tid_size: BigInt(pids.length),
		cgroup: 0n,
	});
	return errand.put(args);
}

/** Has the agent make a process. Its pid, or -errno of clone3(2): EEXIST when the pid is taken. */
export async function spawnTask(agent: Agent, spawning: Spawning): Promise<bigint> {
	const errand = agent.errand();
	const pid = addSpawn(errand, agent, spawning);
	return (await agent.perform(errand, { doing: "making a process" })).result(pid);
}
