import { SIGINFO_SIZE, siginfoHead } from "../../linux/siginfo.ts";
import { SI } from "../../linux/siginfo-codes.ts";
import { SIGKILL, SIGSTOP, signalsIn, withoutSignals } from "../../linux/signal.ts";

/**
 * Signals that were pending and blocked, as `siginfo` records to queue again. The kernel leaves only their numbers in a
 * core, so each comes from nobody (tgkill by pid 0). What was pending but not blocked is part of the death: SIGKILL is
 * raised in every thread of a dumping process (fs/coredump.c, zap_process), and the fatal signal itself must not return.
 */
export const recreatePending = (pending: bigint, blocked: bigint): Uint8Array[] =>
	signalsIn(withoutSignals(pending & blocked, SIGKILL, SIGSTOP)).map((signal) => {
		const siginfo = new Uint8Array(SIGINFO_SIZE);
		siginfo.set(siginfoHead.encode({ si_signo: signal, si_errno: 0, si_code: SI.TKILL }));
		return siginfo;
	});
