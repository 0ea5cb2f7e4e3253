import { closeSync, openSync, readSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import type { PidFacts } from "../host/pids.ts";
import type { AssembledPlan, Plan } from "../plan/plan.ts";
import { pathOfMemory } from "../proc/links.ts";
import { readStatus } from "../proc/status.ts";
import { threadsOf } from "../proc/tasks.ts";
import type { Task } from "../task/task.ts";

/**
 * Which ids a restored process gets: those that it had, here; those that it had, in a pid namespace of its own; or new ones.
 */
export type IdChoice = "same" | "namespace" | "fresh";

/** The threads of a process, leader first. */
export const leaderAndThreads = (pid: number): number[] => [pid, ...threadsOf(pid).filter((tid) => tid !== pid)];

/**
 * What each thread of a process is called here, by the id that it had. Threads that are not there are left out.
 *
 * @param tids all of its threads, as they are called here.
 */
export function currentIds(
	choice: IdChoice,
	pid: number,
	tids: readonly number[],
	plan: Plan,
	encoded: AssembledPlan,
): ReadonlyMap<number, number> {
	if (choice === "same") return new Map(tids.map((tid) => [tid, tid]));
	// the last of its ids is what the thread itself sees
	if (choice === "namespace") return new Map(tids.map((tid) => [readStatus({ pid, tid }).nspids.at(-1) ?? tid, tid]));
	const present = new Set(tids);
	const known = new Map<number, number>();
	const path = pathOfMemory({ pid, tid: tids[0] ?? pid });
	const mem = attempt(path, () => openSync(path, "r"));
	try {
		const word = Buffer.alloc(8);
		for (const [old, cell] of plan.newIds ?? []) {
			attempt(path, () => readSync(mem, word, 0, word.length, encoded.addressOf(cell)));
			const tid = Number(word.readBigUInt64LE());
			if (present.has(tid)) known.set(old, tid);
		}
	} finally {
		closeSync(mem);
	}
	return known;
}

/**
 * Which ids a process should get here, for whoever does not care.
 *
 * - `same` is best when it can be had: the process, its logs and pid files, its core and every tool agree on the ids.
 * - `namespace` keeps all that the process knows of itself right: getpid(2), locks with an owner (robust, recursive and
 *   error-checking mutexes), timers for threads, its children's idea of it. Tools outside see other numbers. A debugger
 *   attaches by those: gdb says that it is in another pid namespace, and shows threads, names and thread-local variables as
 *   ever, for libthread_db finds threads by their place in memory, not by their ids. Ids above kernel.pid_max work too
 *   (Linux 6.14). For an ordinary user a user namespace comes with it, so that /proc/PID/exe is right as well. What it
 *   does not have is a /proc of its own: there the process is found by its id outside, and as /proc/self.
 * - `fresh` always works. The thread library is told the new ids, so that pthread functions and thread_db work; what the
 *   program itself remembers of the old ones is wrong, and without privileges so is /proc/PID/exe, which debuggers read.
 *
 * The first process of a namespace gets no signals but SIGKILL and SIGSTOP from outside: what had the id 1, as what runs
 * alone in a container has, is `fresh`.
 */
export function chooseIds(
	{ threads }: Pick<Task, "threads">,
	{ taken, pidMax, chosen, namespace }: PidFacts,
): IdChoice {
	const tids = threads.map(({ tid }) => tid);
	if (!tids.every((tid) => tid > 1 && tid < PID_MAX_LIMIT)) return "fresh";
	if (chosen && !tids.some((tid) => tid >= pidMax || taken.includes(tid))) return "same";
	return namespace === true ? "namespace" : "fresh";
}

/** include/linux/threads.h, on 64-bit machines. */
const PID_MAX_LIMIT = 1 << 22;
