import { caution } from "../../finding.ts";
import type { Task } from "../../forest/task.ts";
import { ALL_WAITERS, FUTEX, futexStore } from "../../linux/futex.ts";
import { PR } from "../../linux/prctl.ts";
import { SIGSTOP, signalName } from "../../linux/signal.ts";
import { READY, reportLayout } from "../../program/abi.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { addDumpable } from "../process/bounds.ts";
import { addFreeing, addHearing } from "../process/hearing.ts";
import { frameOf } from "./frame.ts";
import { addTimerStarts } from "./timers.ts";

export interface LeavePolicy {
	/** What is to be left stopped stops itself before its first instruction: there is nobody to stop it at that moment. */
	readonly stopsItself?: boolean;
	/** All are left stopped; otherwise those that were. */
	readonly stopped?: boolean;
}

/**
 * The end: the leader says that all is ready, and waits for one byte. Until it comes the restorer may look at every thread,
 * or give up; if it dies instead, so does the process. Then time runs again, and all threads go at once.
 *
 * The last that can fail comes before the socket is closed, and the release of the others after it: whoever sees the
 * process live has heard of every failure.
 */
export function planLeave(task: Task, context: Context, { stopsItself, stopped }: LeavePolicy = {}): Part {
	const { draft, reportTarget, go, ids } = context;
	const { pid } = task.identity;
	const leader = draft.leader;
	const [thread] = task.threads;
	if (thread === undefined) return context.draft.made();
	const socket = { valueOf: reportTarget };
	const size = BigInt(reportLayout.size);
	const ready = bytesDatum("ready", reportLayout.encode({ task: BigInt(pid), id: 0n, result: READY }));
	leader.add("leave", "write", [socket, ready, size], "tells that all is ready", { expect: { exactly: size } });
	addHearing("leave", "go", pid, context, "until it may go");
	addTimerStarts(leader, task);
	const { parentDeathSignal } = thread;
	leader.add(
		"leave",
		"prctl",
		[BigInt(PR.SET_PDEATHSIG), BigInt(parentDeathSignal), 0n, 0n, 0n],
		parentDeathSignal === 0 ? "lives without the restorer" : "its signal when the parent dies",
	);
	addFreeing("leave", pid, context);
	// the parents of others come back with them
	if (parentDeathSignal !== 0 && context.common?.words.free.has(pid) !== true)
		draft.report(
			caution(
				"parent",
				`process ${pid}`,
				`gets ${signalName(parentDeathSignal)} when its parent ends, and that is now the restorer`,
			),
		);
	if (task.stopped && task.stopSignal !== undefined)
		draft.report(
			caution(
				"thread-state",
				`process ${pid}`,
				`was stopped by ${signalName(task.stopSignal)}; where that does not stop it again SIGSTOP does, as its parent may see`,
			),
		);
	addDumpable(leader, task, context);
	if (context.common?.borrowsTable !== true) leader.add("leave", "close", [socket], "nothing more to tell");
	if (stopsItself === true && (stopped === true || task.stopped))
		leader.add("leave", "kill", [ids.arg(pid), BigInt(SIGSTOP)], "stopped, until it is continued");
	leader.add("leave", "futex", [go, BigInt(FUTEX.WAKE_OP), ALL_WAITERS, 0n, go, futexStore(1)], "all threads go");
	if (thread.ended === true) leader.add("leave", "exit", [0n], "had ended before the others");
	else leader.add("leave", "leave", [frameOf(thread, context)], "where it was");
	return context.draft.made();
}
