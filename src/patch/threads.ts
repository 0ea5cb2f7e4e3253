import { entryFromXstate } from "../criu/fpregs.ts";
import type { CoreEntry, ThreadCoreEntry, ThreadInfoX86 } from "../criu/generated/schema.ts";
import { robustListHead } from "../linux/robust-list.ts";
import { SS_DISABLE } from "../linux/sigaction.ts";
import type { Task, Thread } from "../task/task.ts";
import { credsEntry } from "./credentials.ts";
import { patchTaskCore } from "./signals.ts";

const X86_64 = 1;
const NATIVE = 1;

/** The leader's core image: thread part and task part. */
export const patchLeader = (task: Task, thread: Thread, donor: CoreEntry): CoreEntry => ({
	...patchThread(thread, donor),
	...(donor.tc === undefined ? {} : { tc: patchTaskCore(task, thread, donor.tc) }),
	...(donor.ids === undefined ? {} : { ids: donor.ids }),
});

/**
 * The core image of one thread on top of the donor's record that it takes after. A record that came from a leader
 * loses the task part, which CRIU refuses in any other thread.
 */
export function patchThread(thread: Thread, donor: CoreEntry): CoreEntry {
	const { tc: _tc, ids: _ids, ...base } = donor;
	return {
		...base,
		mtype: X86_64,
		...(base.thread_info === undefined ? {} : { thread_info: patchInfo(thread, base.thread_info) }),
		...(base.thread_core === undefined ? {} : { thread_core: patchAttributes(thread, base.thread_core) }),
	};
}

function patchInfo(thread: Thread, donor: ThreadInfoX86): ThreadInfoX86 {
	const fpregs = entryFromXstate(thread.xstate, donor.fpregs);
	const { xsave } = fpregs;
	return {
		...donor,
		clear_tid_addr: thread.clearTid ?? 0n,
		gpregs: { ...donor.gpregs, ...thread.registers, mode: NATIVE },
		// without its shadow stack's pages and pointer the dead thread cannot run with one
		fpregs:
			xsave?.cet === undefined ? fpregs : { ...fpregs, xsave: { ...xsave, cet: { ...xsave.cet, cet: 0n, ssp: 0n } } },
	};
}

function patchAttributes(thread: Thread, donor: ThreadCoreEntry): ThreadCoreEntry {
	const { rseq_entry, sas, signals_p: _pending, ...base } = donor;
	const { alternateStack: stack, robustList, rseq } = thread;
	const { rseq_cs_pointer: _section, ...registration } = rseq_entry ?? {
		rseq_abi_pointer: 0n,
		rseq_abi_size: 0,
		signature: 0,
	};
	return {
		...base,
		futex_rla: robustList ?? 0n,
		// any other length makes set_robust_list(2) fail
		futex_rla_len: robustList === undefined ? 0 : robustListHead.size,
		blk_sigset: thread.blocked,
		comm: thread.name,
		signals_p: { signals: thread.pending.map((siginfo) => ({ siginfo })) },
		...(donor.creds === undefined ? {} : { creds: credsEntry(thread.credentials, donor.creds) }),
		...(stack === undefined && sas === undefined
			? {}
			: {
					sas: { ...sas, ss_sp: stack?.base ?? 0n, ss_size: stack?.size ?? 0n, ss_flags: stack?.flags ?? SS_DISABLE },
				}),
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
