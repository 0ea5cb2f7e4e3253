import { hex } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { caution, type Finding, loss } from "../finding.ts";
import type { PartialTask, PartialThread } from "../forest/partial-task.ts";
import type { Scheduling, Thread } from "../forest/task.ts";
import { SCHED } from "../linux/sched.ts";
import { signalSetText } from "../linux/signal.ts";
import { understandAlternateStack } from "./alternate-stack.ts";
import type { CredentialsOf } from "./credentials.ts";
import type { MovedDonor } from "./donor/moved-donor.ts";
import { withEndedLeader } from "./ended-leader.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { reportGoStacks } from "./evidence/go-stacks.ts";
import { recreatePending } from "./evidence/pending.ts";
import { completeRegisters } from "./evidence/registers.ts";
import { understandXstate } from "./thread-fpu.ts";
import { carryFor, reportRecords, understandRecords } from "./thread-records.ts";
import { believed } from "./witnesses.ts";

interface ThreadContext {
	readonly evidence: Evidence;
	readonly donor: MovedDonor | undefined;
	readonly credentialsOf: CredentialsOf;
	readonly report: (finding: Finding) => void;
}

/** Every thread of the dead process, leader first, also where that had ended. */
export function understandThreads(dead: PartialTask, context: ThreadContext): Thread[] {
	const { evidence, donor, report } = context;
	reportRecords(dead, evidence.records, donor !== undefined, report);
	if (dead.writer === "gdb")
		report(
			caution(
				"masks-lost",
				"all threads",
				`gdb's cores hold no signal masks; ${donor === undefined ? "none is blocked" : "the donor's are used"}`,
			),
		);
	if (dead.threads.length > 1 && donor === undefined)
		report(
			loss(
				"names-lost",
				`${dead.threads.length} threads`,
				`only the first one's name is in a core; all are called ${dead.comm}`,
			),
		);
	reportGoStacks(evidence.goStacks, report);
	const inOrder = donor?.pairs.map((pair) => pair.dead) ?? dead.threads;
	const threads = inOrder.map((thread, i) =>
		understandThread(dead, thread, i === 0 && dead.leaderEnded !== true, context),
	);
	return withEndedLeader(dead, threads, report);
}

function understandThread(
	dead: PartialTask,
	thread: PartialThread,
	leader: boolean,
	{ evidence, donor, credentialsOf, report }: ThreadContext,
): Thread {
	const { tid } = thread;
	const subject = `thread ${tid}`;
	const pair = donor?.pairOf(thread);
	const lent =
		donor === undefined || pair === undefined ? undefined : { donor: pair.donor, carry: carryFor(donor, pair) };
	// a thread without a counterpart takes after the donor's leader, but has neither its name nor its stack
	const own = pair?.own === true ? lent : undefined;

	const records = understandRecords(dead, thread, evidence.records.of(thread), lent, report);
	const alternateStack = understandAlternateStack(thread, evidence, own, report);
	const { value: blocked } = believed({
		core: () => thread.blocked,
		donor: () => lent?.donor.blocked,
		default: () => 0n,
	});
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
	const { value: name } = believed({
		core: () => (leader ? dead.comm : undefined),
		donor: () => own?.donor.name,
		default: () => dead.comm,
	});
	return {
		tid,
		name,
		registers: completeRegisters(thread.registers, dead.memory, records.rseq, subject, report),
		xstate: understandXstate(dead, thread, lent?.donor.xstate, report),
		blocked,
		pending,
		scheduling: schedulingOf(dead, leader, lent?.donor.scheduling),
		parentDeathSignal: lent?.donor.parentDeathSignal ?? 0,
		credentials: credentialsOf(lent?.donor.credentials),
		seccomp: lent?.donor.seccomp ?? "none",
		...records,
		...defined({ attributes: lent?.donor.attributes, alternateStack }),
	};
}

/** The core says how nice the leader was, and nothing of the others. */
function schedulingOf({ nice }: PartialTask, leader: boolean, lent: Scheduling | undefined): Scheduling {
	const usual = { nice: nice ?? 0, policy: SCHED.OTHER, priority: 0 };
	const { value } = believed({ donor: () => lent, default: () => usual });
	return leader && nice !== undefined ? { ...value, nice } : value;
}
