import type { Agent } from "../agent/agent.ts";
import { label, SIGN, type Slot, type SyscallBatch } from "../agent/batch.ts";
import type { Report } from "../agent/reports.ts";
import { clearUndo, spawnTask } from "../agent/spawn.ts";
import { waitForExit } from "../agent/wait.ts";
import { defined } from "../bytes/defined.ts";
import { NecromancerError, refuse } from "../errors.ts";
import type { Task } from "../forest/task.ts";
import { EAGAIN, EEXIST, EINVAL, ENOSYS, EPERM, errnoName, failedWith } from "../linux/errno.ts";
import { PR } from "../linux/prctl.ts";
import { SIGKILL, signalName } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { type AssembledPlan, LEADER, type Plan, type WORKSHOP, type WORKSHOP_END } from "../plan/plan.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readStat } from "../proc/stat.ts";
import { threadsOf } from "../proc/tasks.ts";
import { ASKS_FOR_CLOCKS, REPORT_FD } from "../program/abi.ts";
import { addUnbinding, type BoundPlace, unbind } from "./bound-sockets.ts";
import type { IdChoice } from "./ids.ts";
import { childrenHere, familyOf } from "./members.ts";
import { requireFreeIds, requireNoHeirs } from "./requirements.ts";

/**
 * Has the agent fork the carrier, the child that becomes the process: it holds blob and plan, no libc.
 *
 * @param store see {@link registerKills}.
 * @returns its id here.
 * @throws NecromancerError ERR_PID_TAKEN, ERR_HOST
 */
export async function makeCarrier(
	agent: Agent,
	encoded: AssembledPlan,
	{ identity: { pid } }: Task,
	ids: IdChoice,
	store?: Slot,
): Promise<number> {
	const made = await spawnTask(agent, {
		context: encoded.contextAt,
		steps: encoded.firstStep(LEADER),
		pids: ids === "fresh" ? [] : [pid],
		...defined({ store }),
	});
	if (made < 0n) {
		if (ids === "same") requireFreeIds([pid]);
		if (ids === "same" && failedWith(made, EEXIST)) requireNoHeirs([pid]);
		refuse("ERR_HOST", {
			subject: `process ${pid}`,
			finding: `clone3 failed with ${errnoName(Number(made))}`,
			...remedyFor(ids, made, agent),
		});
	}
	// only the process itself holds the other end now: its death is the end of its reports
	await agent.call("close", REPORT_FD);
	return Number(made);
}

function remedyFor(
	ids: IdChoice,
	error: bigint,
	{ clone3 }: Agent,
): { readonly expectation: string; readonly remedy: string } {
	if (ids === "fresh" || failedWith(error, EAGAIN))
		return {
			expectation: "expected room for one more process",
			remedy: "raise RLIMIT_NPROC, kernel.threads-max or the cgroup's pids.max",
		};
	if (!clone3 && failedWith(error, ENOSYS, EPERM))
		return {
			expectation: "expected no seccomp filter to hide it: only clone3 makes processes with ids of one's choice",
			remedy: "allow clone3 (docker run --security-opt seccomp=unconfined), or restore with --fresh-ids",
		};
	const ways = `${ids === "same" ? "--pid-namespace, or " : ""}with --fresh-ids`;
	return {
		expectation: "expected to make a process with that id",
		remedy: failedWith(error, EINVAL)
			? `ids end at kernel.pid_max: raise it, or restore with ${ways}`
			: `give CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, or restore with ${ways}`,
	};
}

/** Processes that are being made. */
export interface Making {
	/** The one that the agent has made, by its id here. */
	readonly pid: number;
	/** How many there are to be. */
	readonly count: number;
	readonly encoded: AssembledPlan;
	/** The offsets for /proc/PID/timens_offsets. */
	clocks(): Promise<string>;
}

/**
 * Waits until each has reported that it has come so far, and answers their questions meanwhile.
 *
 * @throws NecromancerError ERR_STEP_FAILED, ERR_RESTORE_FAILED
 */
export async function untilReady(agent: Agent, { pid, count, encoded, clocks }: Making): Promise<void> {
	for (let told = 0; told < count; ) {
		const report = await nextOf(agent, pid, count);
		if (report === undefined) return await refuseDead(agent, pid);
		if (report.id !== 0n) return await refuseStep(encoded, report);
		if (report.result === ASKS_FOR_CLOCKS) agent.reports.send(Buffer.from(await clocks(), "latin1"));
		else told++;
	}
}

/** Milliseconds between two looks at processes of which nothing is heard. */
const LOOK_EVERY = 1000;

/** One of several that dies without a word is a zombie of its parent's, and the others would wait for it. */
async function nextOf(agent: Agent, root: number, count: number): Promise<Report | undefined> {
	const next = agent.reports.next();
	if (count === 1) return next;
	for (;;) {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<"late">((done) => {
			timer = setTimeout(done, LOOK_EVERY, "late");
		});
		const first = await Promise.race([next, late]);
		clearTimeout(timer);
		if (first !== "late") return first;
		requireLiving(root);
	}
}

function requireLiving(root: number): void {
	for (const pid of familyOf(root)) {
		const stat = ifShown(() => readStat(pid));
		const end = stat?.state === "Z" && threadsOf(pid).length <= 1 ? waitStatus(stat.exitStatus) : undefined;
		if (end?.kind !== "killed") continue;
		refuse("ERR_RESTORE_FAILED", {
			subject: `process ${pid}`,
			finding: `was killed by ${signalName(end.signal)} while it was made`,
			expectation: "expected it to say that it is ready",
		});
	}
}

/**
 * Has the agent make what the process is to find open, or let go of it, where there is such a list.
 *
 * @throws NecromancerError ERR_STEP_FAILED
 */
export async function runWorkshop(
	agent: Agent,
	{ lists }: Plan,
	encoded: AssembledPlan,
	list: typeof WORKSHOP | typeof WORKSHOP_END,
): Promise<void> {
	if (!lists.some(({ name }) => name === list)) return;
	const { stoppedAt, result } = await agent.run({ steps: encoded.firstStep(list), doing: "making files" });
	if (stoppedAt !== undefined) await refuseStep(encoded, { id: stoppedAt, result });
}

/** @throws NecromancerError ERR_STEP_FAILED with the step in words. */
export async function refuseStep(
	encoded: AssembledPlan,
	report: { readonly id: bigint; readonly result: bigint },
): Promise<never> {
	const { stepFailure } = await import("../plan/failure.ts");
	throw stepFailure(encoded, report);
}

async function refuseDead(agent: Agent, pid: number): Promise<never> {
	const end = await waitForExit(agent, pid);
	return refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding:
			end.kind === "killed" ? `was killed by ${signalName(end.signal)} while it was made` : "ended while it was made",
		expectation: "expected it to say that it is ready",
	});
}

/**
 * While they are made, the agent is given the children of those that die: it reaps them, whoever else there is for that
 * (PR_SET_CHILD_SUBREAPER).
 */
export const adoptOrphans = (agent: Agent, adopts: boolean): Promise<bigint> =>
	agent.call("prctl", PR.SET_CHILD_SUBREAPER, adopts ? 1 : 0, 0, 0, 0);

/**
 * Kills what was made and all that it made, and reaps it, so that no zombie stays, nor the file of a socket.
 *
 * @param made by their ids here; of a pid namespace, its first process too.
 * @returns what a process reported that could not go on, if one did.
 */
export async function killAll(
	agent: Agent,
	made: readonly number[],
	bound: readonly BoundPlace[],
): Promise<Report | undefined> {
	try {
		if (made.length === 0) return undefined;
		// whose parents end first are its own to reap
		await adoptOrphans(agent, true);
		for (const pid of made) await agent.call("kill", pid, SIGKILL);
		// a process can be reaped once its traced threads are, and a pid namespace ends with its last process
		while ((await agent.call("wait4", -1, 0, WAIT.ALL, 0)) >= 0n)
			// the agent is given what a dead one leaves
			for (const orphan of childrenHere(agent.pid)) await agent.call("kill", orphan, SIGKILL);
		await unbind(agent, bound);
		await clearUndo(agent);
		// while the agent holds the other end itself, reading it would never end
		await agent.call("close", REPORT_FD);
		for (;;) {
			const report = await agent.reports.next();
			if (report === undefined || report.id !== 0n) return report;
		}
	} catch (error) {
		// the agent is gone, and took with it whatever it traced
		if (!(error instanceof NecromancerError)) throw error;
		return undefined;
	} finally {
		await agent.close();
	}
}

/** For an undo list that kills: waits until all children have ended, and removes the files of their sockets. */
export function alsoUnbound(bound: readonly BoundPlace[]): (undo: SyscallBatch) => void {
	return (undo) => {
		if (bound.length === 0) return;
		const [again, none] = [label("the next child"), label("no child")];
		undo.mark(again);
		const reaped = { valueOf: undo.call("wait4", -1, 0, WAIT.ALL, 0) };
		undo.branch(reaped, SIGN, SIGN, none);
		undo.jump(again);
		undo.mark(none);
		addUnbinding(undo, bound);
	};
}
