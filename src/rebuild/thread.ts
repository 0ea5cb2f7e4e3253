import { normaliseXstate } from "../arch/x86-64/xstate.ts";
import type { CoreThread } from "../core/threads.ts";
import type { Identity, Thread } from "../forest/task.ts";
import { readSiginfo, siginfoHead } from "../linux/siginfo.ts";
import { type SignalSet, signalBit } from "../linux/signal.ts";

const never = { tv_sec: 0n, tv_usec: 0n } as const;

/** A thread as a core has it. Its registers are those it would resume with. */
export function threadForCore(
	{ tid, registers, blocked, pending, xstate }: Thread,
	{ ppid, pgid, sid }: Identity,
	death: { readonly tid: number; readonly siginfo: Uint8Array } | undefined,
): CoreThread {
	const { si_signo, si_code, si_errno } =
		death === undefined ? { si_signo: 0, si_code: 0, si_errno: 0 } : siginfoHead.decode(death.siginfo);
	return {
		status: {
			...{ si_signo, si_code, si_errno, pr_cursig: si_signo },
			pr_sigpend: pendingMask(pending),
			pr_sighold: blocked,
			...{ pr_pid: tid, pr_ppid: ppid, pr_pgrp: pgid, pr_sid: sid },
			...{ pr_utime: never, pr_stime: never, pr_cutime: never, pr_cstime: never },
			pr_reg: registers,
			pr_fpvalid: 1,
		},
		xstate: normaliseXstate(xstate),
		...(death?.tid === tid && { siginfo: death.siginfo }),
	};
}

const pendingMask = (pending: readonly Uint8Array[]): SignalSet =>
	pending.reduce((mask, raw) => mask | signalBit(readSiginfo(raw).si_signo), 0n);
