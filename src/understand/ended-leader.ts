import { type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Thread } from "../forest/task.ts";

/**
 * The threads of a process, leader first, also where that had ended: `main` called pthread_exit(3). It then stays a zombie with
 * the process's id as long as other threads live, and is in no core.
 */
export function withEndedLeader(
	{ pid, comm, leaderEnded }: Pick<PartialTask, "pid" | "comm" | "leaderEnded">,
	threads: readonly Thread[],
	report: (finding: Finding) => void,
): Thread[] {
	const [first] = threads;
	if (leaderEnded !== true || first === undefined) return [...threads];
	report(note("thread-deduced", `thread ${pid}`, "led the process and had ended before it died; it is a zombie again"));
	const { registers, xstate, scheduling, credentials } = first;
	const leader: Thread = {
		...{ tid: pid, name: comm, registers, xstate, blocked: 0n, pending: [], scheduling },
		...{ parentDeathSignal: 0, credentials, seccomp: "none", ended: true },
	};
	return [leader, ...threads];
}
