import type { UserRegs } from "../arch/x86-64/registers.ts";
import { address } from "../bytes/address.ts";
import { caution, type Finding } from "../finding.ts";
import type { PartialMemory, PartialTask } from "../forest/partial-task.ts";
import type { SignalAction, Thread } from "../forest/task.ts";
import { EINTR, ERESTARTNOHAND, errorResult } from "../linux/errno.ts";
import { SIG_DFL, SIG_IGN, signalBit, signalSetText } from "../linux/signal.ts";
import type { BlockingCall } from "./evidence/blocking-calls.ts";

/** System calls that block with a temporary signal mask, each with its pointer to it. */
const SLEEPS: Readonly<Record<string, (registers: UserRegs, memory: PartialMemory) => bigint>> = {
	rt_sigsuspend: ({ di }) => di,
	ppoll: ({ r10 }) => r10,
	epoll_pwait: ({ r8 }) => r8,
	epoll_pwait2: ({ r8 }) => r8,
	// the last argument points at a pointer to it, and its size
	pselect6: ({ r9 }, memory) => wordAt(r9, memory),
	io_pgetevents: ({ r9 }, memory) => wordAt(r9, memory),
};

const wordAt = (at: bigint, memory: PartialMemory): bigint =>
	(at === 0n ? undefined : memory.read(address(at), 8)?.readBigUInt64LE(0)) ?? 0n;

/** Results of a call that was interrupted by the death; inside a handler ax would be 0. */
const INTERRUPTED: readonly bigint[] = [EINTR, ERESTARTNOHAND].map(errorResult);

/**
 * Threads that died in a call with a temporary mask (sigsuspend, ppoll …). The kernel's core holds the temporary mask, not the
 * thread's own (PTRACE_GETSIGMASK would tell it). Resumed with it, the thread could take the signal before it blocks again, and
 * then wait for ever; so signals with handlers are blocked until it is in the call. Mono suspends threads like that for garbage
 * collection.
 */
export function withoutTemporaryMasks(
	threads: readonly Thread[],
	dead: PartialTask,
	calls: readonly BlockingCall[],
	actions: readonly SignalAction[],
	report: (finding: Finding) => void,
): Thread[] {
	const handled = actions
		.filter(({ handler }) => handler !== SIG_DFL && handler !== SIG_IGN)
		.reduce((set, { signal }) => set | signalBit(signal), 0n);
	const deadById = new Map(dead.threads.map((thread) => [thread.tid, thread]));
	// who is in a handler, or was taken out of one, has its own mask of that one's frame
	const sleeps = new Map(calls.flatMap((call) => (call.handler === undefined ? [[call.tid, call] as const] : [])));
	return threads.map((thread) => {
		const died = deadById.get(thread.tid);
		if (died?.blocked === undefined) return thread;
		const slept = sleeps.get(thread.tid);
		if (slept === undefined || slept.registers !== died.registers) return thread;
		if (!INTERRUPTED.includes(BigInt.asIntN(64, slept.registers.ax))) return thread;
		const { call } = slept;
		const awake = handled & ~thread.blocked;
		if (awake === 0n || (SLEEPS[call]?.(slept.registers, dead.memory) ?? 0n) === 0n) return thread;
		report(
			caution(
				"masks-lost",
				`thread ${thread.tid}`,
				`slept in ${call}, and the core has its signal mask for that sleep alone; outside of it, it is taken to block what the process has handlers for: ${signalSetText(awake)}`,
			),
		);
		return { ...thread, blocked: thread.blocked | awake };
	});
}
