import { initialFx, legalMxcsr, PKRU, type Xstate } from "../../arch/x86-64/xstate.ts";
import { hex, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { AlternateStack, Credentials, Thread } from "../../forest/task.ts";
import { SCHED } from "../../linux/sched.ts";
import { signalName, signalSetText } from "../../linux/signal.ts";
import { withEndedLeader } from "../ended-leader.ts";
import { goSignalStacks, reportGoStacks } from "../evidence/go-stacks.ts";
import { type KernelRecords, kernelRecords } from "../evidence/kernel-records.ts";
import { recreatePending } from "../evidence/pending.ts";
import type { OpenObject } from "../evidence/program-objects.ts";
import { completeRegisters } from "../evidence/registers.ts";
import { type FrameOf, type SignalFrame, signalFrames } from "../evidence/signal-frame.ts";

interface DeducedThreadContext {
	readonly open: OpenObject;
	readonly credentials: Credentials;
	readonly report: (finding: Finding) => void;
}

interface ProvenStacks {
	readonly frameOf: FrameOf;
	/** By thread id. */
	readonly goStacks: ReadonlyMap<number, AlternateStack>;
}

/**
 * Every thread of the dead process, with its registrations (set_tid_address, robust list, rseq, alternate stack) as far as the
 * core proves them.
 */
export function deduceThreads(dead: PartialTask, around: DeducedThreadContext): Thread[] {
	const { report } = around;
	const recordsOf = kernelRecords(dead, around.open, report);
	if (dead.writer === "gdb")
		report(caution("masks-lost", "all threads", "gdb's cores hold no signal masks; none is blocked"));
	if (dead.threads.length > 1)
		report(
			loss(
				"names-lost",
				`${dead.threads.length} threads`,
				`only the first one's name is in a core; all are called ${dead.comm}`,
			),
		);
	const goStacks = goSignalStacks(dead);
	reportGoStacks(goStacks, report);
	const stacks: ProvenStacks = { frameOf: signalFrames(dead.threads, dead.memory), goStacks };
	const threads = dead.threads.map((thread) => deduceThread(dead, thread, recordsOf(thread), stacks, around));
	return withEndedLeader(dead, threads, report);
}

function deduceThread(
	dead: PartialTask,
	thread: PartialThread,
	records: KernelRecords,
	{ frameOf, goStacks }: ProvenStacks,
	{ credentials, report }: DeducedThreadContext,
): Thread {
	const { tid } = thread;
	const subject = `thread ${tid}`;
	const frame = frameOf(thread);
	const alternateStack = frame?.alternateStack ?? thread.alternateStack ?? goStacks.get(tid);
	if (frame !== undefined) reportFrame(frame, subject, report);
	const blocked = thread.blocked ?? 0n;
	const pending = recreatePending(thread.pending, blocked);
	if (pending.length > 0)
		report(
			caution(
				"pending-lost",
				subject,
				`${signalSetText(thread.pending & blocked)} pending; queued again, but who sent it is not in a core`,
			),
		);
	if (thread.shadowStack !== undefined)
		report(
			loss("xstate", subject, `ran with a shadow stack (pointer ${hex(thread.shadowStack)}); it resumes without one`),
		);
	return {
		tid,
		name: dead.comm,
		registers: completeRegisters(thread.registers, dead.memory, records.rseq, subject, report),
		xstate: xstateOf(dead, thread, report),
		blocked,
		pending,
		scheduling: { nice: dead.nice ?? 0, policy: SCHED.OTHER, priority: 0 },
		parentDeathSignal: 0,
		credentials,
		seccomp: "none",
		...records,
		...defined({ alternateStack }),
	};
}

function reportFrame(
	{ at, signal, alternateStack }: SignalFrame,
	subject: string,
	report: (finding: Finding) => void,
): void {
	const where =
		alternateStack === undefined
			? "which runs on its own stack"
			: `with a signal stack at ${hex(alternateStack.base)}-${hex(plus(alternateStack.base, alternateStack.size))}`;
	report(
		note(
			"thread-deduced",
			subject,
			`is inside a handler${signal === undefined ? "" : ` of ${signalName(signal)}`} (frame at ${hex(at)}), ${where}`,
		),
	);
}

function xstateOf({ writer }: PartialTask, { tid, xstate }: PartialThread, report: (finding: Finding) => void): Xstate {
	if (xstate === undefined) {
		report(loss("xstate", `thread ${tid}`, "the core has no FPU state; it starts with that of a new process"));
		return { fx: initialFx, xcr0: 0n, xstateBv: 0n, components: new Map() };
	}
	// a reserved bit, from a damaged core or a processor with more of them, would kill the thread as it resumes
	const own = { ...xstate, fx: { ...xstate.fx, mxcsr: legalMxcsr(xstate.fx) } };
	// folklore: gdb 13 finds zeros for PKRU on CPUs that pack components unlike Intel's; Linux's own value is meant
	const pkru = own.components.get(PKRU);
	if (writer !== "gdb" || pkru === undefined || pkru.some((byte) => byte !== 0)) return own;
	return {
		...own,
		xstateBv: own.xstateBv & ~(1n << BigInt(PKRU)),
		components: new Map([...own.components].filter(([component]) => component !== PKRU)),
	};
}
