import { caution, type Finding, note } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import { SIGINFO_SIZE, siginfoHead } from "../../linux/siginfo.ts";
import { SI } from "../../linux/siginfo-codes.ts";
import { ALL_SIGNALS, SIGKILL, SIGSTOP, signalSetText, signalsIn, withoutSignals } from "../../linux/signal.ts";

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

/**
 * Signals that waited for the process, and not for one of its threads, are in no core (`pr_sigpend` is the thread's own:
 * fs/binfmt_elf.c, fill_prstatus). One waits only while every thread blocks it.
 */
export function reportProcessPending({ threads }: PartialTask, report: (finding: Finding) => void): void {
	const subject = "the whole process";
	const masks = threads.map(({ blocked }) => blocked);
	if (masks.includes(undefined)) {
		report(note("pending-lost", subject, "signals that waited for it, and not for one thread, are not in a core"));
		return;
	}
	const everywhere = masks.reduce<bigint>((all, mask = 0n) => all & mask, ALL_SIGNALS);
	const waiting = withoutSignals(everywhere, SIGKILL, SIGSTOP);
	if (waiting !== 0n)
		report(
			caution(
				"pending-lost",
				subject,
				`every thread blocks ${signalSetText(waiting)}: whether one waited for the process is not in a core; none does now`,
			),
		);
}
