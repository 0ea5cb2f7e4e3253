import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { syscallNames } from "../arch/x86-64/syscalls.ts";
import { defined } from "../bytes/defined.ts";
import { refuse } from "../errors.ts";
import { EPERM, ESRCH, errnoName, failedWith } from "../linux/errno.ts";
import { PTRACE, PTRACE_O } from "../linux/ptrace.ts";
import { SIGKILL, SIGTRAP } from "../linux/signal.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { ifShown } from "../proc/if-shown.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import { readSyscall, threadsOf } from "../proc/tasks.ts";
import { lostThread } from "./lost-thread.ts";

/** No request takes longer on a host that is alive. Milliseconds. */
const PATIENCE = 30_000;

/** Default for the milliseconds that a thread may take to stop: longer than any wait for a working disk. */
const UNTIL_STOPPED = 5_000;
/** wait4 calls without a pause (most threads stop at once), then milliseconds between two. */
const [AT_ONCE, AGAIN] = [20, 2] as const;

/** A process all threads of which are stopped for us. */
export interface Seized {
	/** Leader first. */
	readonly tids: readonly number[];
	/** By what job control had stopped it before we did. */
	readonly stopSignal?: number;
}

/** What has become of the threads of a process that is seized. */
interface Seizing {
	readonly held: Set<number>;
	readonly gone: Set<number>;
	/** How the leader ended. */
	end?: WaitStatus;
	stopSignal?: number;
}

/**
 * Seizes and stops every thread of another's process, until no thread is left that runs. There is no PTRACE_O_EXITKILL: if the
 * agent dies, the process goes on. A signal that was about to be delivered is delivered, and the thread stops after it.
 *
 * @param within Milliseconds for one thread to stop.
 * @throws NecromancerError ERR_PROCESS where it ends meanwhile, another traces it, or a thread does not stop because the kernel
 *   does not let it; ERR_HOST where we may not.
 */
export async function seizeAll(agent: Agent, pid: number, within = UNTIL_STOPPED): Promise<Seized> {
	const seizing: Seizing = { held: new Set<number>(), gone: new Set<number>() };
	const { held, gone } = seizing;
	for (;;) {
		const fresh = (ifShown(() => threadsOf(pid)) ?? []).filter((tid) => !held.has(tid) && !gone.has(tid));
		if (fresh.length === 0) break;
		const seized: number[] = [];
		await inBatches(agent, fresh, {
			doing: "attaching to threads",
			patience: PATIENCE,
			add: (batch, tid) => {
				const result = batch.call("ptrace", PTRACE.SEIZE, tid, 0, PTRACE_O.TRACESYSGOOD);
				batch.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
				return result;
			},
			read: (done, result, tid) => {
				const value = done.result(result);
				if (value >= 0n) seized.push(tid);
				else if (hasEnded(pid, tid, value)) gone.add(tid);
				else refuseSeize(pid, tid, value);
			},
		});
		for (let waiting = seized, end = performance.now() + within, looks = 0; waiting.length > 0; looks += 1) {
			const left = await waitForStops(agent, pid, waiting, seizing);
			if (left.length < waiting.length) end = performance.now() + within;
			else if (performance.now() > end) refuseStuck(pid, left);
			else if (looks > AT_ONCE) await new Promise((done) => setTimeout(done, AGAIN));
			waiting = left;
		}
	}
	if (seizing.end !== undefined) lostThread(pid, seizing.end, "ERR_PROCESS");
	if (!held.has(pid))
		refuse("ERR_PROCESS", {
			subject: `process ${pid}`,
			finding: "ended while it was stopped",
			expectation: "expected it to live",
		});
	const others = [...held].filter((tid) => tid !== pid).sort((a, b) => a - b);
	return { tids: [pid, ...others], ...defined({ stopSignal: seizing.stopSignal }) };
}

/** Looks which threads have stopped that were told to. The others, and those whose signal had to be delivered first, are to be looked at again. */
async function waitForStops(agent: Agent, pid: number, tids: readonly number[], seizing: Seizing): Promise<number[]> {
	const again: { readonly tid: number; readonly signal: number }[] = [];
	const running: number[] = [];
	await inBatches(agent, tids, {
		doing: `stopping process ${pid}`,
		patience: PATIENCE,
		add: (batch, tid) => {
			const status = batch.space(8);
			return { status, result: batch.call("wait4", tid, status, WAIT.ALL | WAIT.NOHANG, 0) };
		},
		read: (done, { status, result }, tid) => {
			if (done.result(result) === 0n) return void running.push(tid);
			const what = waitStatus(done.bytes(status).readUInt32LE());
			if (done.result(result) < 0n || what.kind === "exited" || what.kind === "killed") {
				// its other threads have ended too: who has seized them has to hear of each, lest its parent never hears of it
				if (tid === pid) seizing.end = what;
				seizing.gone.add(tid);
			} else if (what.kind === "signal") again.push({ tid, signal: what.signal });
			else {
				seizing.held.add(tid);
				// with its group, and not for us (kernel/signal.c, do_jobctl_trap)
				if (what.kind === "event" && what.signal !== SIGTRAP) seizing.stopSignal = what.signal;
			}
		},
	});
	await inBatches(agent, again, {
		doing: "delivering signals",
		patience: PATIENCE,
		add: (batch, { tid, signal }) => batch.call("ptrace", PTRACE.CONT, tid, 0, signal),
		read: () => {},
	});
	return [...running, ...again.map(({ tid }) => tid)];
}

/** Calls in which a thread waits for a child that shares its memory, and nothing but the child's exec or end wakes it. */
const VFORKS: readonly string[] = ["vfork", "clone", "clone3"];

/**
 * Names the threads that did not stop: the kernel stops none in state D (TASK_UNINTERRUPTIBLE, TASK_KILLABLE), such as the
 * parent of a vfork.
 */
function refuseStuck(pid: number, tids: readonly number[]): never {
	const [tid = pid] = tids;
	const call = callOf(pid, tid);
	const vfork = statusOf(pid, tid)?.state === "D" && call !== undefined && VFORKS.includes(call);
	return refuse("ERR_PROCESS", {
		subject: tid === pid ? `process ${pid}` : `thread ${tid}`,
		finding: vfork
			? "waits in vfork for a child that has neither ended nor become another program"
			: `does not stop${call === undefined ? "" : `: it is in ${call}`} (state ${statusOf(pid, tid)?.state ?? "unknown"})`,
		expectation: "expected every thread to stop",
		remedy: vfork ? "end the child, or try again later" : "try again when what it waits for has come",
	});
}

/** The system call that a thread is in; `undefined` where nobody says. */
function callOf(pid: number, tid: number): string | undefined {
	const number = ifShown(() => readSyscall({ pid, tid }));
	return number === undefined ? undefined : syscallNames.get(number);
}

/**
 * Detaches from processes that {@link seizeAll} stopped: they run, or stay stopped if job control had stopped them.
 *
 * @param signals Signals to leave pending for each, such as SIGSTOP.
 */
export async function detachAll(
	agent: Agent,
	processes: readonly Pick<Seized, "tids">[],
	signals: readonly number[] = [],
): Promise<void> {
	const owed = processes.flatMap(({ tids: [pid = 0] }) => signals.map((signal) => ({ pid, signal })));
	await inBatches(agent, owed, {
		doing: "leaving signals",
		patience: PATIENCE,
		add: (batch, { pid, signal }) => batch.call("kill", pid, signal),
		read: () => {},
	});
	await inBatches(
		agent,
		processes.flatMap(({ tids }) => tids),
		{
			doing: "letting threads go",
			patience: PATIENCE,
			add: (batch, tid) => batch.call("ptrace", PTRACE.DETACH, tid, 0, 0),
			// a thread that has ended need not be detached
			read: () => {},
		},
	);
}

/**
 * Ends processes that {@link seizeAll} stopped, and none of them sees another end. When this returns each is for its parent to reap.
 */
export async function killAll(agent: Agent, processes: readonly Pick<Seized, "tids">[]): Promise<void> {
	await inBatches(agent, processes, {
		doing: "ending processes",
		patience: PATIENCE,
		add: (batch, { tids: [pid = 0] }) => batch.call("kill", pid, SIGKILL),
		read: () => {},
	});
	for (let ended = 0n; ended >= 0n; ) {
		const batch = agent.batch();
		const results = Array.from({ length: AT_ONCE }, () => batch.call("wait4", -1, 0, WAIT.ALL, 0));
		const done = await agent.perform(batch, { patience: PATIENCE, doing: "waiting for their end" });
		for (const result of results) ended = done.result(result);
	}
}

const statusOf = (pid: number, tid: number): ProcStatus | undefined => ifShown(() => readStatus({ pid, tid }));

/** The kernel says EPERM of a thread that is a zombie already. */
function hasEnded(pid: number, tid: number, result: bigint): boolean {
	if (failedWith(result, ESRCH)) return true;
	const state = statusOf(pid, tid)?.state ?? "X";
	return failedWith(result, EPERM) && (state === "Z" || state === "X");
}

function refuseSeize(pid: number, tid: number, result: bigint): never {
	const tracer = statusOf(pid, tid)?.tracer ?? 0;
	if (tracer !== 0) return refuseTraced(pid, tracer);
	return refuse("ERR_HOST", {
		subject: `thread ${tid}`,
		finding: `ptrace(PTRACE_SEIZE) failed with ${errnoName(Number(result))}`,
		expectation: "expected to be allowed to trace it",
		remedy: "be root or have CAP_SYS_PTRACE, and see that no security module is in the way",
	});
}

/** @throws NecromancerError ERR_PROCESS */
export const refuseTraced = (pid: number, tracer: number): never =>
	refuse("ERR_PROCESS", {
		subject: `process ${pid}`,
		finding: `is traced by process ${tracer}`,
		expectation: "expected to be its only tracer",
		remedy: "quit the debugger first",
	});
