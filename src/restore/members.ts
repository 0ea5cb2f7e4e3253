import type { Agent } from "../agent/agent.ts";
import type { SyscallBatch } from "../agent/batch.ts";
import { refuse } from "../errors.ts";
import type { Forest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import { SIGKILL } from "../linux/signal.ts";
import type { Plan, PlannedProcess } from "../plan/plan.ts";
import { CALLERS_SESSION } from "../plan/process/standings.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import { descendantsOf, processes } from "../proc/tasks.ts";
import type { IdChoice } from "./ids.ts";

/** A process that is being made. */
export interface Member {
	/** Its id here. */
	readonly pid: number;
	readonly task: Task;
	/** What it is to be, by the ids that it is to have. */
	readonly planned: PlannedProcess;
	/** The agent made it; the others were made by one of these. */
	readonly isRoot: boolean;
}

/** Those that are there. */
export interface Members {
	/** Parents first. */
	readonly members: readonly Member[];
	/** The id here of a process, or what has ended, by that which it is to have. */
	readonly here: (id: number) => number;
}

/**
 * The processes of a plan when all of them are there.
 *
 * @param pid the root's id here.
 * @throws NecromancerError ERR_RESTORE_FAILED where one is not to be found.
 */
export function membersOf(pid: number, { processes: tasks }: Forest, plan: Plan, ids: IdChoice): Members {
	const known = ids === "namespace" ? idsIn(pid) : undefined;
	const here = (id: number): number => {
		if (id === plan.pid) return pid;
		return known === undefined ? id : (known.get(id) ?? refuseLost(id));
	};
	const sid = plan.joinsCaller === true ? CALLERS_SESSION : plan.pid;
	const planned = [{ ...plan, ppid: 0, sid, pgid: plan.pid }, ...(plan.others ?? [])];
	const members = tasks.map((task, i): Member => {
		const of = planned[i];
		if (of === undefined) throw new RangeError(`process ${task.identity.pid} is not in the plan`);
		return { pid: here(of.pid), task, planned: of, isRoot: i === 0 };
	});
	return { members, here };
}

/** Ids here of a process in another pid namespace and of all below it, by those that they have there. */
function idsIn(root: number): ReadonlyMap<number, number> {
	const known = new Map<number, number>();
	// a zombie has no namespaces to compare
	for (const pid of familyOf(root)) {
		const own = ifShown(() => readStatus(pid))?.nspids.at(-1);
		if (own !== undefined) known.set(own, pid);
	}
	return known;
}

const refuseLost = (pid: number): never =>
	refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding: "is not there",
		expectation: "expected it in the pid namespace that was made",
	});

/**
 * From now on the agent kills all of them if our process ends: their ids are known to be theirs.
 *
 * @param alsoUndone adds what else is undone then.
 */
export async function registerMembers(
	agent: Agent,
	members: readonly Pick<Member, "pid">[],
	alsoUndone: (undo: SyscallBatch) => void,
): Promise<void> {
	const undo = agent.undoList();
	for (const { pid } of members) undo.call("kill", pid, SIGKILL);
	alsoUndone(undo);
	await agent.perform(agent.batch(), { undo });
}

/** Children of a process: those that it has made, and those that it has been given. */
export const childrenHere = (parent: number): readonly number[] =>
	processes().filter((pid) => ifShown(() => readStat(pid))?.ppid === parent);

/** A process, its children, and theirs. */
export const familyOf = (root: number): readonly number[] => [root, ...descendantsOf(root)];
