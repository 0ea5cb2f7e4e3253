import { i32, viewOf } from "../../bytes/layout.ts";
import { loss } from "../../finding.ts";
import type { Task, Thread } from "../../forest/task.ts";
import { CAP } from "../../linux/credentials.ts";
import { EACCES, EPERM } from "../../linux/errno.ts";
import { ALL_WAITERS, FUTEX, robustListHead } from "../../linux/futex.ts";
import { ARCH, PR } from "../../linux/prctl.ts";
import { PRIO_PROCESS } from "../../linux/resource.ts";
import { CLONE_AS_THREAD, cloneArgs, SCHED } from "../../linux/sched.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import { cloneArgsOf } from "../clone-args.ts";
import type { Context } from "../context.ts";
import { hasCapability } from "../host-rights.ts";
import { addTidWords } from "../ids.ts";
import type { ListDraft, Part } from "../part.ts";
import { addThreadAttributes } from "../process/attributes.ts";
import { addCredentials } from "../process/credentials.ts";
import { frameOf, requireRunnable } from "./frame.ts";
import { addPending } from "./signals.ts";

/**
 * Makes all threads, each with its id, and has each make itself what it was. When the leader goes on, all are complete and
 * sleep until `go`.
 *
 * @throws NecromancerError for threads that would not run ({@link requireRunnable}).
 */
export function planThreads(task: Task, context: Context): Part {
	for (const thread of task.threads) if (thread.ended !== true) requireRunnable(thread);
	const list = context.draft.leader;
	const [leader, ...others] = task.threads;
	if (leader === undefined) return context.draft.made();
	const made = others.map((thread) => ({ thread, ready: addThread(list, task, thread, context) }));
	addState(list, task, leader, context);
	addPending(list, task, leader, context);
	for (const { thread, ready } of made)
		list.add("threads", "await", [ready, context.ids.arg(thread.tid)], `thread ${thread.tid} is complete`);
	return context.draft.made();
}

/** Spawns a thread onto a list of its own. Returns the cell where its id appears when it is complete. */
function addThread(leader: ListDraft, task: Task, thread: Thread, context: Context): Place {
	const { draft, reportTarget, facts, go, ids, leaderEnded } = context;
	const { tid, parentDeathSignal } = thread;
	const name = `thread ${tid}`;
	const args = newcomerOf(thread, context);
	// an id of our choice is what only clone3 can give: without it the step says that it is missing
	const deed = facts.clone3 === false && ids.cells.size > 0 ? "clone" : "spawn";
	leader.add("threads", deed, [args, BigInt(cloneArgs.size), reportTarget, { list: name }], name, {
		...ids.made(tid),
	});
	const list = draft.list(name);
	const ready = cellDatum(`whether ${name} is complete`);
	ids.introduce(list, "threads", tid);
	addState(list, task, thread, context);
	list.add(
		"threads",
		"prctl",
		[BigInt(PR.SET_NAME), pathDatum(`name of ${name}`, thread.name), 0n, 0n, 0n],
		"its name",
	);
	addPending(list, task, thread, context);
	addCredentials(list, task, thread, context);
	if (parentDeathSignal !== 0)
		list.add(
			"credentials",
			"prctl",
			[BigInt(PR.SET_PDEATHSIG), BigInt(parentDeathSignal), 0n, 0n, 0n],
			"its signal when the parent dies",
		);
	list.add("leave", "gettid", [], "is complete", { ...ids.returned(tid), save: ready });
	list.add("leave", "futex", [ready, BigInt(FUTEX.WAKE), ALL_WAITERS, 0n, 0n, 0n], "the leader may wait for that");
	list.add("leave", "await", [go, 1n], "until all may go");
	if (leaderEnded !== undefined) list.add("leave", "await", [leaderEnded, 0n], "until the leader has ended");
	list.add("leave", "leave", [frameOf(thread, context)], "where it was");
	return ready;
}

/**
 * Without CLONE_SETTLS and CLONE_CHILD_CLEARTID, by which pthread_create(3) asks the kernel: the thread itself sets its
 * thread-local storage (arch_prctl) and the word that is cleared at its end (set_tid_address).
 */
const newcomerOf = ({ tid }: Thread, { ids }: Context): Place =>
	cloneArgsOf({ name: `thread ${tid}`, flags: CLONE_AS_THREAD, ...(ids.cells.size === 0 ? { tid } : {}) });

/** What the kernel knows of a thread beside its registers and its credentials. */
function addState(list: ListDraft, task: Task, thread: Thread, context: Context): void {
	const { ids, leaderEnded } = context;
	const { tid, registers, clearTid, robustList, rseq } = thread;
	if (thread.ended === true && leaderEnded !== undefined) {
		// what it returns is its id: not 0 until it has ended
		list.add("threads", "set_tid_address", [leaderEnded], "tells the others that it has ended", { save: leaderEnded });
		addScheduling(list, thread, context);
		return;
	}
	list.add("threads", "arch_prctl", [BigInt(ARCH.SET_FS), registers.fs_base], "its thread-local storage");
	list.add("threads", "arch_prctl", [BigInt(ARCH.SET_GS), registers.gs_base], "its gs base");
	if (clearTid !== undefined)
		list.add("threads", "set_tid_address", [clearTid], "the word that is cleared at its end", {
			...ids.returned(tid),
		});
	addTidWords(list, task, tid, context);
	if (robustList !== undefined)
		list.add("threads", "set_robust_list", [robustList, BigInt(robustListHead.size)], "locks to free if it dies");
	if (rseq !== undefined)
		list.add(
			"threads",
			"rseq",
			[rseq.area, BigInt(rseq.size), 0n, BigInt(rseq.signature)],
			"its restartable sequences",
		);
	addScheduling(list, thread, context);
	addThreadAttributes(list, thread, context);
}

const real: readonly number[] = [SCHED.FIFO, SCHED.RR];

/** Less is taken where more is not allowed: a process that runs at another priority is better than none. */
function addScheduling(
	list: ListDraft,
	{ tid, scheduling: { nice, policy, priority } }: Thread,
	{ draft, facts }: Context,
): void {
	const lost = [
		nice < 0 ? `niceness ${nice}` : "",
		real.includes(policy & ~SCHED.RESET_ON_FORK) ? `real-time priority ${priority}` : "",
	].filter(Boolean);
	if (lost.length > 0 && !hasCapability(facts, CAP.SYS_NICE, "system"))
		draft.report(
			loss(
				"scheduling",
				`thread ${tid}`,
				`had ${lost.join(" and ")}; without CAP_SYS_NICE it runs as the restorer's limits allow`,
			),
		);
	list.add("threads", "setpriority", [PRIO_PROCESS, 0n, BigInt(nice)], "its niceness, where that is allowed", {
		expect: { successOr: EACCES },
	});
	if ((policy & ~SCHED.RESET_ON_FORK) === SCHED.DEADLINE) {
		draft.report(loss("scheduling", `thread ${tid}`, "had the policy SCHED_DEADLINE, whose times are not known"));
		return;
	}
	const bytes = new Uint8Array(i32.size);
	i32.write(viewOf(bytes), 0, priority);
	const param = bytesDatum(`priority of thread ${tid}`, bytes, { align: 4 });
	list.add("threads", "sched_setscheduler", [0n, BigInt(policy), param], "its scheduling, where that is allowed", {
		expect: { successOr: EPERM },
	});
}
