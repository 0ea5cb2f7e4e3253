import type { IdSight } from "../host/pid-sight.ts";
import type { Task } from "../task/task.ts";
import type { IdChoice } from "./ids.ts";

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
export function chooseIds({ threads }: Pick<Task, "threads">, { taken, pidMax, chosen, namespace }: IdSight): IdChoice {
	const tids = threads.map(({ tid }) => tid);
	if (!tids.every((tid) => tid > 1 && tid < PID_MAX_LIMIT)) return "fresh";
	if (chosen && !tids.some((tid) => tid >= pidMax || taken.includes(tid))) return "same";
	return namespace === true ? "namespace" : "fresh";
}

/** include/linux/threads.h, on 64-bit machines. */
const PID_MAX_LIMIT = 1 << 22;
