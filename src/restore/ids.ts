import { closeSync, openSync, readSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import type { Task } from "../forest/task.ts";
import type { PidFacts } from "../host/pids.ts";
import type { AssembledPlan, Plan } from "../plan/plan.ts";
import { pathOfMemory } from "../proc/links.ts";
import { readStatus } from "../proc/status.ts";
import { threadsOf } from "../proc/tasks.ts";

/**
 * Which ids a restored process gets: those that it had, here; those that it had, in a pid namespace of its own; or new ones.
 */
export type IdChoice = "same" | "namespace" | "fresh";

/** The threads of a process, leader first. */
export const leaderAndThreads = (pid: number): number[] => [pid, ...threadsOf(pid).filter((tid) => tid !== pid)];

/**
 * The tid of each thread in our pid namespace, by the tid that it had. Threads that do not exist are left out.
 *
 * @param tids all of its threads, in our pid namespace.
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
 * The default for the choice of pids and tids.
 *
 * - `same` where possible: the process, its logs and pid files, its core and every tool agree on the ids.
 * - `namespace`: what the process remembers stays right: getpid(2), mutexes with an owner (robust, recursive, error-checking),
 *   timers for threads. Tools outside see other ids and attach by those; gdb warns of the other pid namespace and works, since
 *   libthread_db finds threads by address. Ids above kernel.pid_max work too (Linux 6.14). For an ordinary user a user
 *   namespace is made too, so that /proc/PID/exe is right. There is no /proc of the namespace.
 * - `fresh` always works. The new tids are written into the thread library's control blocks, so that pthread functions and
 *   libthread_db work; ids that the program itself remembers are wrong, and without privileges so is /proc/PID/exe.
 *
 * The init of a pid namespace gets only SIGKILL and SIGSTOP from outside: what had pid 1, as in a container, is `fresh`.
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
