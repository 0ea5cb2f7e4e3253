import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import { i32, viewOf } from "../bytes/layout.ts";
import type { Finding } from "../finding.ts";
import type { IpcNamespace } from "../forest/ipc.ts";
import type { Identity, Task } from "../forest/task.ts";
import type { CpuState } from "../host/cpu.ts";
import { SIGSTOP, STOP_SIGNALS } from "../linux/signal.ts";
import { readLimits } from "../proc/limits.ts";
import { readComm, readCoredumpFilter, readOomScoreAdjust } from "../proc/single-values.ts";
import { type ProcStat, readStat } from "../proc/stat.ts";
import { type ProcStatus, readStatus } from "../proc/status.ts";
import { readTimers } from "../proc/timers.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import type { Seized } from "../trace/seize-all.ts";
import { pendingSignals } from "../trace/thread-records.ts";
import type { VictimThread } from "../trace/victim-memory.ts";
import type { LiveGhosts } from "./ghosts.ts";
import type { Losable } from "./losable.ts";
import { lostState, reportUnrestored, requireAllowed } from "./losses.ts";
import { memoryOf } from "./memory.ts";
import type { ObjectsOfProcess } from "./objects.ts";
import { callerOf, runQueries } from "./parasite.ts";
import { type Answers, parasiteQueries } from "./parasite-queries.ts";
import { syscallInstructionOf } from "./syscall-instruction.ts";
import { askedOf, stoppedThreads, threadFrom } from "./threads.ts";

/** A stopped process, and what is needed to read it. */
export interface StoppedProcess extends Seized {
	readonly pid: number;
	readonly cpu: CpuState;
	readonly memory: ProcessMemory;
	readonly objects: ObjectsOfProcess;
	readonly ghosts: LiveGhosts;
	/** Its IPC namespace, where it is not ours. */
	readonly ipc?: IpcNamespace | undefined;
	readonly pages: boolean;
	readonly allowLost: ReadonlySet<Losable>;
	readonly report: (finding: Finding) => void;
}

/** A process as far as it is known by itself. */
export interface Collected {
	/** Without what it has open, without memory and files that others may show too, and without its clocks. */
	readonly task: Task;
	readonly status: ProcStatus;
	/** The thread that calls are injected into while the process is stopped. */
	readonly caller: VictimThread;
	readonly clocks: ClocksRead;
}

/** What a process said its clocks were. */
export interface ClocksRead extends Pick<Answers, "clocks"> {
	/** When it was asked, by `process.hrtime`. */
	readonly asked: bigint;
}

/**
 * Reads a stopped process. Its registers and memory are as before afterwards. Contents refer to its memory, so it must stay stopped
 * until they are written.
 *
 * @throws NecromancerError ERR_UNSUPPORTED, ERR_HOST, ERR_IO; ERR_PROCESS when it is killed.
 */
export async function collect(agent: Agent, stopped: StoppedProcess): Promise<Collected> {
	const { pid, tids, stopSignal, cpu, memory, objects, ghosts, ipc, pages, allowLost, report } = stopped;
	const threads = await stoppedThreads(agent, pid, tids, memory, cpu);
	const queries = parasiteQueries(threads.map(askedOf), readTimers(pid), cpu);
	const syscallInstruction = syscallInstructionOf(pid, memory);
	const atStop = threads.map(({ thread }) => thread);
	const asked = process.hrtime.bigint();
	const answers = await runQueries(agent, { pid, atStop, memory, syscallInstruction }, queries);

	requireAllowed(lostState(pid, threads, answers.beyond), allowLost, report);
	const status = readStatus(pid);
	reportUnrestored(pid, answers.beyond, status.noNewPrivileges, report);
	const stat = readStat(pid);
	const around = { objects, ghosts, ownIpc: ipc !== undefined };
	const own = await memoryOf(agent, { pid, stat, answers, memory, ...around, pages, report });
	const { signalActions, intervalTimers, posixTimers, childSubreaper } = answers;
	const task: Task = {
		identity: { ...identityOf(pid, stat), ...(childSubreaper ? { childSubreaper } : {}) },
		threads: threads.map((thread) => threadFrom(pid, thread, questionsAnswered(answers.threads, thread.tid))),
		memory: { ...own, objects: [] },
		...{ signalActions, intervalTimers, posixTimers },
		limits: readLimits(pid),
		pending: status.sharedPending === 0n ? [] : await pendingSignals(agent, pid, "process"),
		files: { descriptors: [] },
		stopped: stopSignal !== undefined,
		...(stopSignal === undefined || stopSignal === SIGSTOP ? {} : { stopSignal }),
		...attributesOf(pid, answers),
		...defined({ ipc }),
	};
	return {
		task: stopSignal === undefined ? task : withoutStops(task),
		status,
		caller: callerOf({ atStop, syscallInstruction }),
		clocks: { clocks: answers.clocks, asked },
	};
}

/**
 * Without stop signals that wait: the one that lets it go on takes them all away (kernel/signal.c, prepare_signal).
 *
 * folklore: whoever is stopped may be told to stop once more (ZDTM's stopped02), and a restored process that finds that before it is
 * whole stops there; `criu restore` fails.
 */
function withoutStops(task: Task): Task {
	const isStop = (siginfo: Uint8Array): boolean => STOP_SIGNALS.includes(i32.read(viewOf(siginfo), 0));
	const kept = (pending: readonly Uint8Array[]): readonly Uint8Array[] => pending.filter((one) => !isStop(one));
	return {
		...task,
		pending: kept(task.pending),
		threads: task.threads.map((thread) => ({ ...thread, pending: kept(thread.pending) })),
	};
}

/** The default of coredump_filter (fs/coredump.c). */
const USUAL_FILTER = 0x33n;

function attributesOf(pid: number, { attributes }: Answers): Pick<Task, "attributes"> {
	const filter = readCoredumpFilter(pid) ?? USUAL_FILTER;
	const all = { ...(filter === USUAL_FILTER ? {} : { "coredump-filter": filter }), ...attributes };
	return Object.keys(all).length === 0 ? {} : { attributes: all };
}

const identityOf = (pid: number, { ppid, pgid, sid }: ProcStat): Identity => ({
	...{ pid, ppid, pgid, sid },
	comm: readComm(pid),
	...defined({ oomScoreAdjust: readOomScoreAdjust(pid) }),
});

function questionsAnswered<T>(answers: ReadonlyMap<number, T>, tid: number): T {
	const found = answers.get(tid);
	if (found === undefined) throw new RangeError(`thread ${tid} was not asked`);
	return found;
}
