import { setTimeout as sleep } from "node:timers/promises";
import type { Agent } from "../agent/agent.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readStat, readTimeOnProcessor } from "../proc/stat.ts";
import { threadsOf } from "../proc/tasks.ts";
import type { Whose } from "../proc/whose.ts";

/** CPU time after which a process counts as running on, nanoseconds; and how long to watch one that gets none, milliseconds. */
const ALIVE_AFTER = 10_000_000n;
const PATIENCE = 2000;

/**
 * The end of a process that died right after it was released: one that had died of a fault executes the same instruction again.
 *
 * @returns `undefined` as soon as its threads sleep, or have run for a while.
 */
export async function earlyDeath(agent: Agent, pid: number): Promise<WaitStatus | undefined> {
	const before = timeOf(pid);
	for (const end = performance.now() + PATIENCE; performance.now() < end; await sleep(2)) {
		const batch = agent.batch();
		const status = batch.space(8);
		const waited = batch.call("wait4", pid, status, WAIT.ALL | WAIT.NOHANG, 0);
		const done = await agent.perform(batch);
		if (done.result(waited) === BigInt(pid)) return waitStatus(done.bytes(status).readUInt32LE());
		if (isAsleep(pid) || timeOf(pid) - before > ALIVE_AFTER) return undefined;
	}
	return undefined;
}

/** What each thread's file in /proc says; nothing of threads that end meanwhile. */
const ofThreads = <T>(pid: number, read: (thread: Whose) => T): readonly T[] =>
	ifShown(() => threadsOf(pid).map((tid) => read({ pid, tid }))) ?? [];

/** A first thread that has ended before the others is a zombie; where all are, the process is dead and wait4 will say how. */
const isAsleep = (pid: number): boolean => {
	const states = ofThreads(pid, (thread) => readStat(thread).state);
	return states.every((state) => "STZ".includes(state)) && states.some((state) => state !== "Z");
};

/** Nanoseconds on a processor, of all threads together. */
const timeOf = (pid: number): bigint => ofThreads(pid, readTimeOnProcessor).reduce((sum, time) => sum + time, 0n);
