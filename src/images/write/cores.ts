import { entryFromXstate } from "../../criu/fpregs.ts";
import {
	type CoreEntry,
	March,
	SeccompMode,
	type ThreadCoreEntry,
	type ThreadInfoX86,
	UserX86RegsMode,
} from "../../criu/wire/generated/schema.ts";
import type { Zombie } from "../../forest/forest.ts";
import type { Task, Thread } from "../../forest/task.ts";
import { robustListHead } from "../../linux/futex.ts";
import { SS_DISABLE } from "../../linux/signal.ts";
import { credsEntry, unless } from "./credentials.ts";
import { taskCore, zombieTask } from "./task-core.ts";

/** The leader's core image: thread part and task part. What `base` says beyond them stays, as in {@link threadCore}. */
export const leaderCore = (task: Task, thread: Thread, base?: CoreEntry): CoreEntry => ({
	...threadCore(thread, base),
	tc: taskCore(task, thread, base?.tc),
	...(base?.ids === undefined ? {} : { ids: base.ids }),
});

/** The core image of a process that has ended: its name, and how. */
export const zombieCore = ({ comm, status }: Zombie): CoreEntry => ({
	mtype: March.X86_64,
	tc: zombieTask(comm, status),
});

/**
 * The core image of one thread, on top of the record that it takes after, if there is one. A record that came from a leader
 * loses the task part, which CRIU refuses in any other thread.
 */
export function threadCore(thread: Thread, base?: CoreEntry): CoreEntry {
	const { tc: _tc, ids: _ids, ...kept } = base ?? {};
	return {
		...kept,
		mtype: March.X86_64,
		thread_info: infoOf(thread, base?.thread_info),
		thread_core: attributesOf(thread, base?.thread_core),
	};
}

function infoOf(thread: Thread, base: ThreadInfoX86 | undefined): ThreadInfoX86 {
	const fpregs = entryFromXstate(thread.xstate, base?.fpregs);
	const { xsave } = fpregs;
	return {
		...(base ?? { tls: [] }),
		clear_tid_addr: thread.clearTid ?? 0n,
		gpregs: { ...base?.gpregs, ...thread.registers, mode: UserX86RegsMode.NATIVE },
		// without its shadow stack's pages and pointer the thread cannot run with one
		fpregs:
			xsave?.cet === undefined ? fpregs : { ...fpregs, xsave: { ...xsave, cet: { ...xsave.cet, cet: 0n, ssp: 0n } } },
	};
}

const seccompMode = ({ seccomp }: Thread): number => SeccompMode[seccomp === "none" ? "disabled" : seccomp];

function attributesOf(thread: Thread, base: ThreadCoreEntry | undefined): ThreadCoreEntry {
	const { rseq_entry, sas, signals_p: _pending, ...kept } = base ?? {};
	const { alternateStack: stack, robustList, rseq, scheduling } = thread;
	const { rseq_cs_pointer: _section, ...registration } = rseq_entry ?? {};
	return {
		...kept,
		futex_rla: robustList ?? 0n,
		// any other length makes set_robust_list(2) fail
		futex_rla_len: robustList === undefined ? 0 : robustListHead.size,
		...unless(0, base, "sched_nice", scheduling.nice),
		...unless(0, base, "sched_policy", scheduling.policy),
		...unless(0, base, "sched_prio", scheduling.priority),
		blk_sigset: thread.blocked,
		...unless(0, base, "pdeath_sig", thread.parentDeathSignal),
		...unless(SeccompMode.disabled, base, "seccomp_mode", seccompMode(thread)),
		comm: thread.name,
		signals_p: { signals: thread.pending.map((siginfo) => ({ siginfo })) },
		creds: credsEntry(thread.credentials, base?.creds),
		sas: { ...sas, ss_sp: stack?.base ?? 0n, ss_size: stack?.size ?? 0n, ss_flags: stack?.flags ?? SS_DISABLE },
		...(rseq === undefined
			? {}
			: {
					rseq_entry: {
						...registration,
						rseq_abi_pointer: rseq.area,
						rseq_abi_size: rseq.size,
						signature: rseq.signature,
					},
				}),
	};
}
