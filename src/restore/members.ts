import type { Agent } from "../agent/agent.ts";
import { refuse } from "../errors.ts";
import type { Forest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import { SIGKILL } from "../linux/signal.ts";
import type { Plan, PlannedProcess } from "../plan/plan.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readNamespace } from "../proc/namespaces.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import { processes } from "../proc/tasks.ts";
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

/**
 * The processes of a plan when all of them are there, parents first.
 *
 * @param pid the root's id here.
 * @throws NecromancerError ERR_RESTORE_FAILED where one is not to be found.
 */
export function membersOf(pid: number, { processes: tasks }: Forest, plan: Plan, ids: IdChoice): readonly Member[] {
	const here = ids === "namespace" ? idsIn(readNamespace(pid, "pid")) : undefined;
	const planned = [{ ...plan, ppid: 0, sid: plan.pid, pgid: plan.pid }, ...(plan.others ?? [])];
	return tasks.flatMap((task, i): Member[] => {
		const of = planned[i];
		if (of === undefined) throw new RangeError(`process ${task.identity.pid} is not in the plan`);
		if (i === 0) return [{ pid, task, planned: of, isRoot: true }];
		const found = here === undefined ? of.pid : here.get(of.pid);
		return found === undefined ? refuseLost(of.pid) : [{ pid: found, task, planned: of, isRoot: false }];
	});
}

/** Ids here of all who live in a pid namespace, by those that they have there. */
function idsIn(namespace: string): ReadonlyMap<number, number> {
	const known = new Map<number, number>();
	for (const pid of processes()) {
		if (ifShown(() => readNamespace(pid, "pid")) !== namespace) continue;
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

/** From now on the agent kills all of them if our process ends: their ids are known to be theirs. */
export async function registerMembers(agent: Agent, members: readonly Pick<Member, "pid">[]): Promise<void> {
	const undo = agent.undoList();
	for (const { pid } of members) undo.call("kill", pid, SIGKILL);
	await agent.perform(agent.batch(), { undo });
}

/** Children of a process: those that it has made, and those that it has been given. */
export const childrenHere = (parent: number): readonly number[] =>
	processes().filter((pid) => ifShown(() => readStat(pid))?.ppid === parent);

/** A process, its children, and theirs. */
export function familyOf(root: number): readonly number[] {
	const parents = new Map<number, number[]>();
	for (const pid of processes()) {
		const ppid = ifShown(() => readStat(pid))?.ppid;
		if (ppid !== undefined) parents.set(ppid, [...(parents.get(ppid) ?? []), pid]);
	}
	const family = [root];
	for (const pid of family) family.push(...(parents.get(pid) ?? []));
	return family;
}
