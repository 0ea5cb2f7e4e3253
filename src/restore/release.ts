import type { Agent } from "../agent/agent.ts";
import type { Report } from "../agent/reports.ts";
import { clearUndo } from "../agent/spawn.ts";
import { waitForStop } from "../agent/wait.ts";
import { syscallNumber } from "../arch/x86-64/syscalls.ts";
import { defined } from "../bytes/defined.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Finding } from "../finding.ts";
import type { Forest } from "../forest/forest.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { AssembledPlan, Plan } from "../plan/plan.ts";
import { type Tracer, tracerOn } from "../trace/tracer.ts";
import { refuseStep } from "./carrier.ts";
import { currentIds, type IdChoice, leaderAndThreads } from "./ids.ts";
import { missingLocks } from "./locks.ts";
import type { Member, Members } from "./members.ts";
import { registerDifferences } from "./registers.ts";
import { leftovers, verify } from "./verify.ts";
import { endedDifferences, kinDifferences } from "./verify-kin.ts";
import { sharedDifferences } from "./verify-shared.ts";

/** Restored processes that wait to be released. */
export interface WaitingForest extends Members {
	readonly forest: Forest;
	readonly facts: HostFacts;
	readonly plan: Plan;
	readonly encoded: AssembledPlan;
	/** How descriptors were given. */
	readonly policy: FilePolicy;
	/** All are left stopped; otherwise those that were. */
	readonly stopped: boolean;
	readonly ids: IdChoice;
	readonly requireUnchanged: () => void;
}

const GO = new Uint8Array([1]);

/**
 * Verifies the waiting processes against the forest, while they still have our credentials. Then lets them go on to take their
 * own.
 *
 * @returns what they need not have, and have not.
 * @throws NecromancerError ERR_RESTORE_FAILED when one shows anything else.
 */
export async function verifyWaiting(
	agent: Agent,
	{ members, here, forest, plan, policy, ids }: WaitingForest,
): Promise<readonly Finding[]> {
	const findings: Finding[] = [];
	for (const member of members) {
		const { pid, task, planned } = member;
		const ours = { ...plan, views: planned.views };
		requireAsPlanned(pid, [...verify(pid, task, ours, policy), ...kinDifferences(member, here, ids)]);
		const locks = missingLocks(pid, task, policy);
		requireAsPlanned(pid, locks.differences);
		findings.push(...locks.findings);
	}
	const [root] = members;
	if (root !== undefined && (members.length > 1 || plan.zombies !== undefined)) {
		requireAsPlanned(root.pid, endedDifferences({ members, here }, plan, ids));
		requireAsPlanned(root.pid, await sharedDifferences(agent, members, forest, policy));
	}
	agent.reports.send(GO);
	return findings;
}

/**
 * Without ptrace the processes resume by themselves, and the blob stays mapped. To be left stopped one sends itself SIGSTOP in the
 * blob, just before rt_sigreturn.
 *
 * @returns the memory of ours that stays mapped.
 */
export async function release(
	agent: Agent,
	{ members: [root], plan, encoded, stopped, requireUnchanged }: WaitingForest,
): Promise<Range> {
	requireUnchanged();
	agent.reports.send(GO);
	// end of file: all have closed the report socket and run on their own
	const report = await agent.reports.next();
	if (report !== undefined) await refuseStep(encoded, report);
	await clearUndo(agent);
	if (root !== undefined && (stopped || root.task.stopped)) {
		const { pid } = root;
		const end = await waitForStop(agent, pid);
		if (end.kind !== "signal")
			refuse("ERR_RESTORE_FAILED", {
				subject: `process ${pid}`,
				finding: "ended when it was let go",
				expectation: "expected it to stop",
			});
	}
	return plan.hole;
}

/**
 * With ptrace every thread is stopped at the exit from rt_sigreturn, before its first own instruction. There its register set
 * is compared with the task's, the blob is unmapped, and the process is detached: none before all are found right.
 */
export async function releaseTraced(agent: Agent, complete: WaitingForest): Promise<undefined> {
	const { members, plan, encoded, stopped, ids, requireUnchanged } = complete;
	const tracer = tracerOn(agent);
	const traced = members.map((member) => {
		const { pid, task } = member;
		// a leader that is to be a zombie never gets to rt_sigreturn
		const ended = task.threads[0]?.ended === true;
		return { member, tids: leaderAndThreads(pid).filter((tid) => tid !== pid || !ended) };
	});
	const all = traced.flatMap(({ tids }) => tids);
	await tracer.seize(all);
	await tracer.interrupt(all);
	const here = traced.map(({ member: { pid }, tids }) => currentIds(ids, pid, tids, plan, encoded));
	agent.reports.send(GO);
	// the report socket is closed already: reports of the last steps are read from the thread's write(2)
	const told = (report: Report): Promise<void> => refuseStep(encoded, report);
	await tracer.toSyscallExit(all, syscallNumber("rt_sigreturn"), told);
	for (const [i, { member, tids }] of traced.entries()) {
		const { pid, task } = member;
		await requireRegisters(tracer, tids, here[i] ?? new Map(), member, complete);
		await tracer.injectMunmap(tids[0] ?? pid, agent.syscallInstruction, plan.hole);
		requireAsPlanned(pid, leftovers(pid, task, plan));
	}
	requireUnchanged();
	// if we end before all are detached, PTRACE_O_EXITKILL kills those that are still traced
	await clearUndo(agent);
	// children first: their parents can wait for what they do
	for (const { member, tids } of traced.reverse()) {
		const { pid, task, isRoot } = member;
		const how = { stop: stopped || task.stopped, leader: pid, isChild: isRoot };
		await tracer.detach(tids, { ...how, ...defined({ stopSignal: stopSignalOf(member, members) }) });
	}
}

function requireAsPlanned(pid: number, differences: readonly string[]): void {
	if (differences.length === 0) return;
	refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding: differences.slice(0, 5).join("; "),
		expectation: "expected it as planned",
	});
}

/**
 * The signal that had stopped a process, where it stops it again: one for which it has a handler, or that it blocks, would not, nor
 * would one of a terminal where nobody in its session cares for its group (setpgid(2), on orphaned process groups).
 */
function stopSignalOf({ task, planned }: Member, members: readonly Member[]): number | undefined {
	const { stopped, stopSignal, signalActions, threads } = task;
	if (!stopped || stopSignal === undefined) return undefined;
	const action = signalActions.find(({ signal }) => signal === stopSignal);
	const held = threads.some(({ blocked }) => ((blocked >> BigInt(stopSignal - 1)) & 1n) === 1n);
	const cared = members.some(({ planned: { ppid, pgid, sid } }) => {
		const parent = members.find(({ planned: { pid } }) => pid === ppid)?.planned;
		return pgid === planned.pgid && parent !== undefined && parent.sid === sid && parent.pgid !== pgid;
	});
	return (action?.handler ?? 0n) === 0n && !held && cared ? stopSignal : undefined;
}

async function requireRegisters(
	tracer: Tracer,
	tids: readonly number[],
	here: ReadonlyMap<number, number>,
	{ pid, task }: Member,
	{ facts }: WaitingForest,
): Promise<void> {
	const regs = await tracer.getRegs(tids);
	const areas = await tracer.getXstate(tids, facts.xstate.size);
	const masks = await tracer.getSigmask(tids);
	const differences = task.threads.flatMap((thread) => {
		if (thread.ended === true) return [];
		const i = tids.indexOf(here.get(thread.tid) ?? 0);
		const [own, xstate, blocked] = [regs[i], areas[i], masks[i]];
		if (own === undefined || xstate === undefined || blocked === undefined)
			return [`thread ${thread.tid} is not there`];
		return registerDifferences(thread, { regs: own, xstate, blocked }, facts);
	});
	if (differences.length > 0)
		refuse("ERR_RESTORE_FAILED", {
			subject: `process ${pid}`,
			finding: differences.slice(0, 5).join("; "),
			expectation: "expected every register as it was",
			remedy: "restore on a processor like the one it ran on",
		});
}
