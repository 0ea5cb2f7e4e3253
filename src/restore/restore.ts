import { readdirSync } from "node:fs";
import { lengthOf, type Range } from "../bytes/range.ts";
import { NecromancerError, refuse } from "../errors.ts";
import { type Agent, startAgent } from "../host/agent.ts";
import { measureHost } from "../host/facts.ts";
import { tracerOn } from "../host/ptrace.ts";
import type { Report } from "../host/reports.ts";
import { spawnTask } from "../host/spawn.ts";
import { errnoName } from "../linux/errno.ts";
import { SIGKILL, SIGSTOP, signalName } from "../linux/signal.ts";
import { syscallNumbers } from "../linux/syscalls.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { REPORT_FD } from "../plan/abi.ts";
import type { HostFacts } from "../plan/circumstances.ts";
import { type CompileOptions, compilePlan, holeFor } from "../plan/compile.ts";
import { type EncodedPlan, encodePlan } from "../plan/encode.ts";
import type { Plan, PlanFinding } from "../plan/plan.ts";
import type { Task } from "../task/task.ts";
import { checkFiles, hostLook, settleMismatches } from "./files.ts";
import { placeGhosts } from "./ghosts.ts";
import { registerDifferences } from "./registers.ts";
import { shortfalls } from "./shortfalls.ts";
import { requireFreeIds } from "./taken.ts";
import { verify } from "./verify.ts";

export interface RestoreOptions extends CompileOptions {
	/** Leave it stopped, as by SIGSTOP. */
	readonly stopped: boolean;
	/** Do without ptrace: nothing is checked at the last moment, and the blob's pages stay behind. */
	readonly untraced?: boolean;
	/** The number of a step that is made to fail, for tests. */
	readonly failStep?: number;
}

/** A process that lives again, a child of the agent as long as that is held. */
export interface Restored {
	readonly pid: number;
	readonly findings: readonly PlanFinding[];
	/** Memory of ours that had to stay in it. */
	readonly leftover?: Range;
	/** How it ends. */
	wait(): Promise<WaitStatus>;
	/** Lets go of it: it goes on without us. */
	release(): Promise<void>;
}

/**
 * Makes the process that a task describes. On any failure nothing of it is left.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH, ERR_PID_TAKEN, ERR_UNSUPPORTED, ERR_HOST before anything is made;
 *   ERR_STEP_FAILED, ERR_RESTORE_FAILED after.
 */
export async function restore(task: Task, options: RestoreOptions): Promise<Restored> {
	const policy = placeGhosts(task, settleMismatches(checkFiles(task, hostLook, options.fds), options));
	requireFreeIds(task.threads.map(({ tid }) => tid));
	const agent = await startAgent(holeFor(task));
	let pid: number | undefined;
	let encoded: EncodedPlan | undefined;
	try {
		const facts = await measureHost(agent);
		const plan = compilePlan(task, facts, { ...options, ...policy });
		encoded = encodePlan(plan, options.failStep === undefined ? {} : { failStep: options.failStep });
		await agent.run({ load: encoded.pieces, doing: "taking in the plan" });
		pid = await makeCarrier(agent, encoded, task);
		await untilReady(agent, pid, encoded);
		const leftover =
			options.untraced === true
				? await letGo(agent, pid, plan, options)
				: await lead(agent, pid, task, facts, plan, encoded, options);
		return living(agent, pid, [...plan.findings, ...shortfalls(pid, task)], leftover);
	} catch (error) {
		const report = await undo(agent, pid);
		// it died because a step failed: that says more
		if (encoded !== undefined && report !== undefined && report.id !== 0n) await refuseStep(encoded, report);
		throw error;
	}
}

/** The child of the agent that becomes the process: no libc is in it, only blob and plan. */
async function makeCarrier(agent: Agent, encoded: EncodedPlan, { identity: { pid } }: Task): Promise<number> {
	const made = await spawnTask(agent, { context: encoded.contextAt, steps: encoded.firstStep("leader"), pids: [pid] });
	if (made < 0n) {
		requireFreeIds([pid]);
		refuse("ERR_HOST", {
			subject: `process ${pid}`,
			finding: `clone3 failed with ${errnoName(Number(made))}`,
			expectation: "expected to make a process with that id",
			remedy:
				"give CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN, or restore as root of a pid namespace (unshare -Urpf --mount-proc)",
		});
	}
	// only the process itself holds the other end now: its death is the end of its reports
	await agent.call("close", REPORT_FD);
	return Number(made);
}

async function untilReady(agent: Agent, pid: number, encoded: EncodedPlan): Promise<void> {
	const report = await agent.reports.next();
	if (report === undefined) await refuseDead(agent, pid);
	else if (report.id !== 0n) await refuseStep(encoded, report);
}

async function refuseStep(
	encoded: EncodedPlan,
	report: { readonly id: bigint; readonly result: bigint },
): Promise<never> {
	const { stepFailure } = await import("../plan/failure.ts");
	throw stepFailure(encoded, report);
}

async function refuseDead(agent: Agent, pid: number): Promise<never> {
	const end = await waitFor(agent, pid);
	return refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding:
			end.kind === "killed" ? `was killed by ${signalName(end.signal)} while it was made` : "ended while it was made",
		expectation: "expected it to say that it is ready",
	});
}

const GO = new Uint8Array([1]);

/** Without ptrace: it goes by itself, and what the blob lies in stays mapped. */
async function letGo(agent: Agent, pid: number, plan: Plan, { stopped }: RestoreOptions): Promise<Range> {
	if (stopped) await agent.call("kill", BigInt(pid), BigInt(SIGSTOP));
	agent.reports.send(GO);
	return plan.hole;
}

/**
 * With ptrace: every thread is caught where it has left rt_sigreturn and has not yet run an instruction. There its registers
 * are held against the task, the blob's memory is taken out, and the process is let go.
 */
async function lead(
	agent: Agent,
	pid: number,
	task: Task,
	facts: HostFacts,
	plan: Plan,
	encoded: EncodedPlan,
	options: RestoreOptions,
): Promise<undefined> {
	const tracer = tracerOn(agent);
	const tids = threadsOf(pid);
	await tracer.seize(tids);
	await tracer.interrupt(tids);
	agent.reports.send(GO);
	// by now the last steps have nobody to tell but us
	const told = (report: Report): Promise<void> => refuseStep(encoded, report);
	await tracer.toSyscallExit(tids, syscallNumbers.get("rt_sigreturn") ?? 15, told);
	await requireRegisters(tracer, tids, task, facts);
	await tracer.injectMunmap(pid, agent.syscallInstruction, plan.hole);
	requireAsPlanned(pid, verify(pid, task, options.fds, plan.views));
	await tracer.detach(tids, options.stopped);
}

function requireAsPlanned(pid: number, differences: readonly string[]): void {
	if (differences.length === 0) return;
	refuse("ERR_RESTORE_FAILED", {
		subject: `process ${pid}`,
		finding: differences.slice(0, 5).join("; "),
		expectation: "expected it as planned",
	});
}

/** Leader first. */
const threadsOf = (pid: number): number[] => [
	pid,
	...readdirSync(`/proc/${pid}/task`)
		.map(Number)
		.filter((tid) => tid !== pid),
];

async function requireRegisters(
	tracer: ReturnType<typeof tracerOn>,
	tids: readonly number[],
	task: Task,
	facts: HostFacts,
): Promise<void> {
	const regs = await tracer.getRegs(tids);
	const areas = await tracer.getXstate(tids, facts.xstate.size);
	const masks = await tracer.getSigmask(tids);
	const differences = task.threads.flatMap((thread) => {
		const i = tids.indexOf(thread.tid);
		const [own, xstate, blocked] = [regs[i], areas[i], masks[i]];
		if (own === undefined || xstate === undefined || blocked === undefined)
			return [`thread ${thread.tid} is not there`];
		return registerDifferences(thread, { regs: own, xstate, blocked }, facts);
	});
	if (differences.length > 0)
		refuse("ERR_RESTORE_FAILED", {
			subject: `process ${task.identity.pid}`,
			finding: differences.slice(0, 5).join("; "),
			expectation: "expected every register as it was",
			remedy: "restore on a processor like the one it ran on",
		});
}

async function waitFor(agent: Agent, pid: number): Promise<WaitStatus> {
	const errand = agent.errand();
	const status = errand.space(8);
	errand.call("wait4", pid, status, WAIT.ALL, 0);
	const done = await agent.perform(errand);
	return waitStatus(done.bytes(status).readUInt32LE());
}

function living(agent: Agent, pid: number, findings: readonly PlanFinding[], leftover: Range | undefined): Restored {
	return {
		pid,
		findings,
		...(leftover === undefined || lengthOf(leftover) === 0n ? {} : { leftover }),
		wait: async () => {
			const end = await waitFor(agent, pid);
			await agent.close();
			return end;
		},
		release: () => agent.close(),
	};
}

/**
 * Ends what was made, and waits for it: nobody leaves a ghost.
 *
 * @returns what it still had to say, if anything.
 */
async function undo(agent: Agent, pid: number | undefined): Promise<Report | undefined> {
	try {
		if (pid === undefined) return undefined;
		await agent.call("kill", BigInt(pid), BigInt(SIGKILL));
		// a process ends for its parent when its traced threads have been waited for, in whatever order they end
		for (let ended = 0n; ended >= 0n && ended !== BigInt(pid); )
			ended = await agent.call("wait4", -1n, 0n, BigInt(WAIT.ALL), 0n);
		// nobody holds the other end any more: this does not wait
		return await agent.reports.next();
	} catch (error) {
		// the agent is gone, and took with it whatever it traced
		if (!(error instanceof NecromancerError)) throw error;
		return undefined;
	} finally {
		await agent.close();
	}
}
