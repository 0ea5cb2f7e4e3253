import type { Agent } from "../agent/agent.ts";
import { EVERY_BIT, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { type Report, readReport } from "../agent/reports.ts";
import { addPause } from "../agent/wait.ts";
import { syscallNames, syscallNumbers } from "../arch/x86-64/syscalls.ts";
import { refuse } from "../errors.ts";
import { iovec } from "../linux/io.ts";
import { PTRACE, PTRACE_SYSCALL_INFO, type PtraceSyscallInfo, ptraceSyscallInfo } from "../linux/ptrace.ts";
import { SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP } from "../linux/signal.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { reportLayout } from "../program/abi.ts";
import { lostThread } from "./lost-thread.ts";

/**
 * Lets stopped threads run until each has left the system call `number`. The threads wait for one another on the way, so their
 * order is not known: each request resumes those that stopped last, waits for the first to stop again, and collects all others
 * that have stopped by then.
 *
 * @param owed Signals to deliver on resuming, by tid. Taken, and added to.
 * @param patience Milliseconds in which something has to happen.
 * @param told Called when a thread is about to write a report, before it ends: its report socket may have no reader any more.
 * @throws NecromancerError ERR_STEP_FAILED when a thread dies, or gets the signal for an impossible frame.
 */
export async function runToExit(
	agent: Agent,
	tids: readonly number[],
	number: number,
	owed: Map<number, number>,
	patience: number,
	told?: (report: Report) => Promise<void>,
): Promise<void> {
	const left = new Set(tids);
	const inside = new Set<number>();
	let since = performance.now();
	for (let ready = [...tids]; left.size > 0; ) {
		const batch = agent.batch();
		const now = ready.slice(0, AT_ONCE);
		const later = ready.slice(AT_ONCE);
		for (const tid of now) {
			batch.call("ptrace", PTRACE.SYSCALL, tid, 0, owed.get(tid) ?? 0);
			owed.delete(tid);
		}
		const slots = Array.from({ length: Math.min(left.size, AT_ONCE) }, (_, i) =>
			// Do not block while some threads are not resumed yet: the others may wait for them.
			waitSlot(batch, i === 0 && later.length === 0),
		);
		const done = await agent.perform(batch, { patience, doing: `waiting for ${left.size} threads to be released` });
		ready = later;
		for (const { who, status, info } of slots) {
			const tid = Number(done.result(who));
			if (!left.has(tid)) continue;
			since = performance.now();
			const what = waitStatus(done.bytes(status).readUInt32LE());
			const stop = ptraceSyscallInfo.decode(done.bytes(info));
			if (told !== undefined && what.kind === "syscall" && isReport(stop)) await told(await reportOf(agent, tid, stop));
			if (!arrived(tid, what, stop, number, inside)) {
				if (what.kind === "signal") owed.set(tid, what.signal);
				ready.push(tid);
			} else left.delete(tid);
		}
		if (performance.now() - since > patience) refuseStuck([...left], number, patience);
	}
}

const refuseStuck = ([tid = 0]: readonly number[], number: number, patience: number): never =>
	refuse("ERR_STEP_FAILED", {
		subject: `thread ${tid}`,
		finding: `did not come through ${syscallNames.get(number) ?? number} within ${patience} ms`,
		expectation: "expected it to be released",
	});

const WRITE = BigInt(syscallNumbers.get("write") ?? 1);

/** Whether a thread is entering the write(2) of a report: so late in a plan nothing else is written. */
const isReport = ({ op, nr, args }: PtraceSyscallInfo): boolean =>
	op === PTRACE_SYSCALL_INFO.ENTRY && nr === WRITE && args[2] === BigInt(reportLayout.size);

/** What a thread that is entering write(2) would write. */
async function reportOf(agent: Agent, tid: number, { args: [, at = 0n] }: PtraceSyscallInfo): Promise<Report> {
	const batch = agent.batch();
	const here = batch.space(reportLayout.size);
	const iov_len = BigInt(here.size);
	const into = batch.put(iovec.encode({ iov_base: here.at, iov_len }));
	const from = batch.put(iovec.encode({ iov_base: at, iov_len }));
	batch.call("process_vm_readv", tid, into, 1, from, 1, 0);
	return readReport((await agent.perform(batch)).bytes(here));
}

/** Threads in one request. */
const AT_ONCE = 200;

interface WaitSlot {
	readonly who: Slot;
	readonly status: Slot;
	readonly info: Slot;
}

/** Adds a wait4(2) for any thread and reads its syscall stop; `patient` waits for a limited time first. */
function waitSlot(batch: SyscallBatch, patient: boolean): WaitSlot {
	const status = batch.space(8);
	const info = batch.space(ptraceSyscallInfo.size);
	const who = batch.call("wait4", -1, status, WAIT.ALL | WAIT.NOHANG, 0);
	if (patient) {
		const [none, found] = [label("none has stopped"), label("one has stopped")];
		batch.branch({ valueOf: who }, EVERY_BIT, 0, none);
		batch.jump(found);
		batch.mark(none);
		addPause(batch);
		batch.callInto(who, "wait4", -1, status, WAIT.ALL | WAIT.NOHANG, 0);
		batch.mark(found);
	}
	batch.call("ptrace", PTRACE.GET_SYSCALL_INFO, { valueOf: who }, info.size, info);
	return { who, status, info };
}

/** What the kernel sends for a thread that cannot go on where it is. */
const fatal: readonly number[] = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS];

function arrived(
	tid: number,
	what: WaitStatus,
	{ op, nr }: PtraceSyscallInfo,
	number: number,
	inside: Set<number>,
): boolean {
	if (what.kind === "exited" || what.kind === "killed") return lostThread(tid, what);
	if (what.kind === "signal" && fatal.includes(what.signal)) return lostThread(tid, what);
	if (what.kind !== "syscall") return false;
	if (op === PTRACE_SYSCALL_INFO.EXIT && inside.has(tid)) return true;
	if (op === PTRACE_SYSCALL_INFO.ENTRY && nr === BigInt(number)) inside.add(tid);
	return false;
}
