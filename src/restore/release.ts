import type { Agent } from "../agent/agent.ts";
import type { Report } from "../agent/reports.ts";
import { clearUndo } from "../agent/spawn.ts";
import { waitForStop } from "../agent/wait.ts";
import { syscallNumber } from "../arch/x86-64/syscalls.ts";
import type { Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Task } from "../forest/task.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import type { AssembledPlan, Plan } from "../plan/plan.ts";
import { type Tracer, tracerOn } from "../trace/tracer.ts";
import { refuseStep } from "./carrier.ts";
import { currentIds, type IdChoice, leaderAndThreads } from "./ids.ts";
import { registerDifferences } from "./registers.ts";
import { leftovers, verify } from "./verify.ts";

/** A restored process that waits to be released. */
export interface WaitingProcess {
	/** Its id here. */
	readonly pid: number;
	readonly task: Task;
	readonly facts: HostFacts;
	readonly plan: Plan;
	readonly encoded: AssembledPlan;
	/** How its descriptors were given. */
	readonly policy: FilePolicy;
	readonly stopped: boolean;
	readonly ids: IdChoice;
	readonly requireUnchanged: () => void;
}

const GO = new Uint8Array([1]);

/**
 * Verifies the waiting process against the task, while it still has our credentials. Then lets it go on to
 * take its own.
 *
 * @throws NecromancerError ERR_RESTORE_FAILED when it shows anything else.
 */
export function verifyWaiting(agent: Agent, { pid, task, plan, policy }: WaitingProcess): void {
	requireAsPlanned(pid, verify(pid, task, plan, policy));
	agent.reports.send(GO);
}

/**
 * Without ptrace the process resumes by itself, and the blob stays mapped. To be left stopped it sends itself SIGSTOP in the
 * blob, just before rt_sigreturn.
 *
 * @returns the memory of ours that stays mapped.
 */
export async function release(
	agent: Agent,
	{ pid, plan, encoded, stopped, requireUnchanged }: WaitingProcess,
): Promise<Range> {
	requireUnchanged();
	agent.reports.send(GO);
	// end of file: the process has closed its report socket and runs on its own
	const report = await agent.reports.next();
	if (report !== undefined) await refuseStep(encoded, report);
	await clearUndo(agent);
	if (stopped) {
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
 * is compared with the task's, the blob is unmapped, and the process is detached.
 */
export async function releaseTraced(agent: Agent, complete: WaitingProcess): Promise<undefined> {
	const { pid, task, plan, encoded, stopped, ids, requireUnchanged } = complete;
	const tracer = tracerOn(agent);
	// a leader that is to be a zombie never gets to rt_sigreturn
	const ended = task.threads[0]?.ended === true;
	const tids = leaderAndThreads(pid).filter((tid) => tid !== pid || !ended);
	const [caught = pid] = tids;
	await tracer.seize(tids);
	await tracer.interrupt(tids);
	const here = currentIds(ids, pid, tids, plan, encoded);
	agent.reports.send(GO);
	// the report socket is closed already: reports of the last steps are read from the thread's write(2)
	const told = (report: Report): Promise<void> => refuseStep(encoded, report);
	await tracer.toSyscallExit(tids, syscallNumber("rt_sigreturn"), told);
	await requireRegisters(tracer, tids, here, complete);
	await tracer.injectMunmap(caught, agent.syscallInstruction, plan.hole);
	requireAsPlanned(pid, leftovers(pid, task, plan));
	requireUnchanged();
	// if we end before all are detached, PTRACE_O_EXITKILL kills those that are still traced
	await clearUndo(agent);
	await tracer.detach(tids, stopped, pid);
}

function requireAsPlanned(pid: number, differences: readonly string[]): void {
	if (differences.length === 0) return;
	refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding: differences.slice(0, 5).join("; "),
		expectation: "expected it as planned",
	});
}

async function requireRegisters(
	tracer: Tracer,
	tids: readonly number[],
	here: ReadonlyMap<number, number>,
	{ pid, task, facts }: WaitingProcess,
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
