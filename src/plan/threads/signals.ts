import { refuse } from "../../errors.ts";
import { loss } from "../../finding.ts";
import type { SignalAction, Task, Thread } from "../../forest/task.ts";
import { SIGINFO_SIZE, siginfoHead } from "../../linux/siginfo.ts";
import { kernelSigaction, SIGKILL, SIGNAL_MAX, SIGSET_BYTES, SIGSTOP, signalName } from "../../linux/signal.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";

const DEFAULT: Omit<SignalAction, "signal"> = {
	handler: 0n as SignalAction["handler"],
	flags: 0n,
	restorer: 0n as SignalAction["restorer"],
	mask: 0n,
};

/**
 * What each signal does, every one of them said: a restorer's parents may have had some ignored. Then what was pending for
 * the process; all signals are blocked, so it waits.
 *
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for pending signals that are none.
 */
export function planSignals({ identity: { pid }, signalActions, pending }: Task, context: Context): Part {
	const { draft, ids } = context;
	const leader = draft.leader;
	const actions = new Map(signalActions.map((action) => [action.signal, action]));
	const data = new Map<string, Place>();
	for (let signal = 1; signal <= SIGNAL_MAX; signal++) {
		if (signal === SIGKILL || signal === SIGSTOP) continue;
		const { handler, flags, restorer, mask } = actions.get(signal) ?? DEFAULT;
		const bytes = kernelSigaction.encode({
			sa_handler: handler,
			sa_flags: flags,
			sa_restorer: restorer,
			sa_mask: mask,
		});
		const key = bytes.join();
		const action = data.get(key) ?? bytesDatum(`action of ${signalName(signal)}`, bytes);
		data.set(key, action);
		const why = handler === 0n ? "the default" : handler === 1n ? "ignored" : "its handler";
		leader.add("signals", "rt_sigaction", [BigInt(signal), action, 0n, SIGSET_BYTES], why);
	}
	for (const siginfo of pending) {
		const signal = pendingSignal(siginfo, `process ${pid}`, context);
		if (signal === undefined) continue;
		const info = bytesDatum(`pending ${signalName(signal)}`, siginfo);
		leader.add(
			"signals",
			"rt_sigqueueinfo",
			[ids.arg(pid), BigInt(signal), info],
			"was pending, for whichever thread takes it",
		);
	}
	return context.draft.made();
}

/** Queues what was pending for one thread. The thread does it itself: nobody else may pretend to be the kernel. */
export function addPending(list: ListDraft, { identity: { pid } }: Task, thread: Thread, context: Context): void {
	const { ids } = context;
	const { tid } = thread;
	for (const siginfo of thread.pending) {
		const signal = pendingSignal(siginfo, `thread ${tid}`, context);
		if (signal === undefined) continue;
		const info = bytesDatum(`pending ${signalName(signal)} of thread ${tid}`, siginfo);
		list.add(
			"threads",
			"rt_tgsigqueueinfo",
			[ids.arg(pid), ids.arg(tid), BigInt(signal), info],
			"was pending for this thread",
		);
	}
}

/** The number of a signal that can wait; SIGKILL and SIGSTOP would act at once, on the unfinished process. */
function pendingSignal(siginfo: Uint8Array, subject: string, { draft }: Context): number | undefined {
	if (siginfo.length !== SIGINFO_SIZE)
		return refuse("ERR_TASK_UNRUNNABLE", {
			subject,
			finding: `a pending signal's siginfo is ${siginfo.length} bytes`,
			expectation: `expected ${SIGINFO_SIZE}`,
		});
	const { si_signo: signal } = siginfoHead.decode(siginfo);
	if (signal < 1 || signal > SIGNAL_MAX)
		return refuse("ERR_TASK_UNRUNNABLE", {
			subject,
			finding: `signal ${signal} is pending`,
			expectation: `expected 1 to ${SIGNAL_MAX}`,
		});
	if (signal !== SIGKILL && signal !== SIGSTOP) return signal;
	draft.report(loss("pending-lost", subject, `${signalName(signal)} was pending; it is not sent again`));
	return undefined;
}
