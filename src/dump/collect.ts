import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import type { Finding } from "../finding.ts";
import type { ProcessClocks } from "../forest/clocks.ts";
import type { Identity, Task } from "../forest/task.ts";
import { clockOriginOf } from "../host/clocks.ts";
import type { CpuState } from "../host/cpu.ts";
import { readLimits } from "../proc/limits.ts";
import { readComm, readCoredumpFilter, readOomScoreAdjust } from "../proc/single-values.ts";
import { type ProcStat, readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import { readTimers } from "../proc/timers.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import { pendingSignals } from "../trace/thread-records.ts";
import type { VictimThread } from "../trace/victim-memory.ts";
import type { MissingDescriptors } from "./descriptor-policy.ts";
import { filesOf } from "./files.ts";
import type { LiveGhosts } from "./ghosts.ts";
import { identitiesOf } from "./identities.ts";
import type { Losable } from "./losable.ts";
import { lostState, reportUnrestored, requireAllowed } from "./losses.ts";
import { memoryOf } from "./memory.ts";
import type { LiveObjects } from "./objects.ts";
import { callerOf, runQueries } from "./parasite.ts";
import { type Answers, parasiteQueries } from "./parasite-queries.ts";
import { syscallInstructionOf } from "./syscall-instruction.ts";
import { askedOf, stoppedThreads, threadFrom } from "./threads.ts";

/** A stopped process, and what is needed to read it. */
export interface StoppedProcess {
	readonly pid: number;
	/** Leader first. */
	readonly tids: readonly number[];
	/** Job control had stopped it before we did. */
	readonly stopped: boolean;
	readonly cpu: CpuState;
	readonly memory: ProcessMemory;
	readonly objects: LiveObjects;
	readonly ghosts: LiveGhosts;
	readonly pages: boolean;
	readonly missing: MissingDescriptors;
	readonly allowLost: ReadonlySet<Losable>;
	readonly report: (finding: Finding) => void;
}

export interface Collected {
	readonly task: Task;
	/** The thread that calls are injected into while the process is stopped. */
	readonly caller: VictimThread;
}

/**
 * Reads a stopped process into a task. Its registers and memory are as before afterwards. Contents refer to its memory, so it
 * must stay stopped until they are written.
 *
 * @throws NecromancerError ERR_UNSUPPORTED, ERR_HOST, ERR_IO; ERR_PROCESS when it is killed.
 */
export async function collect(agent: Agent, stopped: StoppedProcess): Promise<Collected> {
	const { pid, tids, cpu, memory, objects, ghosts, pages, missing, allowLost, report } = stopped;
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
	const own = await memoryOf(agent, { pid, stat, answers, memory, objects, ghosts, pages, report });
	const files = await filesOf(agent, pid, status, { missing, objects, ghosts, report });
	const clocks = clocksOf(pid, answers.clocks, process.hrtime.bigint() - asked);
	const shared = await objects.collect(agent, pages, memory.source);
	const linked = ghosts.linked().map((path) => ({ what: "links", subject: `process ${pid}`, found: path }) as const);
	requireAllowed(linked, allowLost, report);
	const nameless = await ghosts.collect(agent);
	const { signalActions, intervalTimers, posixTimers, childSubreaper } = answers;
	const task: Task = {
		identity: { ...identityOf(pid, stat), ...(childSubreaper ? { childSubreaper } : {}) },
		threads: threads.map((thread) => threadFrom(pid, thread, questionsAnswered(answers.threads, thread.tid))),
		memory: { ...own, objects: shared, ...(nameless.length === 0 ? {} : { ghosts: nameless }) },
		...{ signalActions, intervalTimers, posixTimers },
		limits: readLimits(pid),
		pending: status.sharedPending === 0n ? [] : await pendingSignals(agent, pid, "process"),
		files,
		stopped: stopped.stopped,
		...attributesOf(pid, answers),
		clocks,
	};
	return {
		task: { ...task, files: { ...files, identities: identitiesOf(pid, task) } },
		caller: callerOf({ atStop, syscallInstruction }),
	};
}

/**
 * @param since nanoseconds between reading the clocks and reading what timers had left: a deadline that is computed from both
 *   must not come early.
 */
function clocksOf(pid: number, { monotonic, boottime, realtime }: Answers["clocks"], since: bigint): ProcessClocks {
	const origin = clockOriginOf(pid);
	return {
		...{ monotonic: monotonic + since, boottime: boottime + since, realtime: realtime + since },
		witness: "read",
		...defined({ origin }),
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
	oomScoreAdjust: readOomScoreAdjust(pid),
});

function questionsAnswered<T>(answers: ReadonlyMap<number, T>, tid: number): T {
	const found = answers.get(tid);
	if (found === undefined) throw new RangeError(`thread ${tid} was not asked`);
	return found;
}
