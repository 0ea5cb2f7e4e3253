import { rmSync } from "node:fs";
import type { Agent } from "../agent/agent.ts";
import { clearUndo } from "../agent/spawn.ts";
import { startAgent } from "../agent/start-agent.ts";
import { waitForExit } from "../agent/wait.ts";
import { type ByteSink, createFile } from "../bytes/sink.ts";
import { type WrittenCore, writeCore } from "../core/write.ts";
import { ANYWHERE } from "../host/facts.ts";
import { PTRACE } from "../linux/ptrace.ts";
import { SIGINFO_SIZE } from "../linux/siginfo.ts";
import type { WaitStatus } from "../linux/wait.ts";
import { threadsOf } from "../proc/tasks.ts";
import { lostThread } from "../trace/lost-thread.ts";
import { openMemory } from "../trace/process-memory.ts";
import { type Tracer, tracerOn } from "../trace/tracer.ts";
import { coreOfDying } from "./live-core.ts";
import { type ProgramToRun, runProgram } from "./run-program.ts";

/** A traced program, killed when we end (PTRACE_O_EXITKILL). */
export interface TracedProgram {
	readonly pid: number;
	/**
	 * Sends it a signal that kills it, writes its core to a new file in the moment before, and lets it die.
	 *
	 * @throws NecromancerError ERR_HOST where we may not trace it, ERR_IO, ERR_STEP_FAILED when it ends another way.
	 */
	kill(signal: number, core: string): Promise<KilledProgram>;
	/** Ends it, in whatever state it is. */
	close(): Promise<void>;
}

export interface KilledProgram {
	readonly core: WrittenCore;
	/** What wait4(2) said. */
	readonly end: WaitStatus;
}

/**
 * Runs a program under ptrace and writes its core ourselves when it dies, whatever core_pattern says. Its standard streams lead
 * to /dev/null.
 *
 * @throws NecromancerError ERR_HOST.
 */
export async function runTraced(program: ProgramToRun): Promise<TracedProgram> {
	const agent = await startAgent(ANYWHERE, { streams: "ignore" });
	try {
		const pid = await runProgram(agent, program);
		return { pid, kill: (signal, core) => killCaught(agent, pid, signal, core), close: agent.close };
	} catch (error) {
		await agent.close();
		throw error;
	}
}

async function killCaught(agent: Agent, pid: number, signal: number, path: string): Promise<KilledProgram> {
	// first: if its core cannot be created, the program runs on
	const sink = createFile(path);
	try {
		const tracer = tracerOn(agent);
		const seized = threadsOf(pid);
		await tracer.seize(seized);
		process.kill(pid, signal);
		await untilSignal(agent, tracer, pid, signal);
		const tids = await stopOthers(tracer, pid, new Set(seized));
		const core = await writeDying(agent, pid, tids, sink);
		// the leader last: its death ends the others, traced or not
		await tracer.detach([...tids.slice(1), pid]);
		const end = await waitForExit(agent, pid);
		// it is reaped: its pid may be reused
		await clearUndo(agent);
		return { core, end };
	} catch (cause) {
		rmSync(path, { force: true });
		throw cause;
	} finally {
		sink.close();
	}
}

/** @param tids The one that is about to get the signal first. */
async function writeDying(agent: Agent, pid: number, tids: readonly number[], sink: ByteSink): Promise<WrittenCore> {
	const siginfo = new Uint8Array(SIGINFO_SIZE);
	await agent.call("ptrace", PTRACE.GETSIGINFO, tids[0] ?? pid, 0, siginfo);
	const memory = openMemory(pid);
	try {
		return await writeCore(await coreOfDying(agent, { pid, tids, siginfo }, memory), sink);
	} finally {
		memory.close();
	}
}

/** Lets the leader run until the signal is about to hit it; others that come on the way are delivered. */
async function untilSignal(agent: Agent, tracer: Tracer, pid: number, signal: number): Promise<void> {
	for (;;) {
		const what = await tracer.wait(pid);
		if (what.kind === "exited" || what.kind === "killed") {
			await clearUndo(agent);
			lostThread(pid, what);
		}
		if (what.kind === "signal" && what.signal === signal) return;
		await agent.call("ptrace", PTRACE.CONT, pid, 0, what.kind === "signal" ? what.signal : 0);
	}
}

/** Stops all other threads, those too that are made meanwhile. The leader, who took the signal, comes first. */
async function stopOthers(tracer: Tracer, pid: number, seized: ReadonlySet<number>): Promise<number[]> {
	const stopped = new Set([pid]);
	for (let known = seized; ; known = new Set()) {
		const running = threadsOf(pid).filter((tid) => !stopped.has(tid));
		if (running.length === 0) return [...stopped];
		await tracer.seize(running.filter((tid) => !known.has(tid)));
		await tracer.interrupt(running);
		for (const tid of running) stopped.add(tid);
	}
}
