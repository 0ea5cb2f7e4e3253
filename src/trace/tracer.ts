import type { Agent, Patience, Performed } from "../agent/agent.ts";
import type { Slot, SyscallBatch } from "../agent/batch.ts";
import { inBatches } from "../agent/in-batches.ts";
import type { Report } from "../agent/reports.ts";
import { type UserRegs, userRegs } from "../arch/x86-64/registers.ts";
import { syscallNumber } from "../arch/x86-64/syscalls.ts";
import { type Address, hex } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { viewOf } from "../bytes/layout.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { NT } from "../linux/elf-core.ts";
import { EPERM, ESRCH, errnoName, failedWith } from "../linux/errno.ts";
import { iovec } from "../linux/io.ts";
import { PTRACE, PTRACE_O, type PtraceSyscallInfo, ptraceSyscallInfo } from "../linux/ptrace.ts";
import { ALL_SIGNALS, SIGSET_BYTES, SIGSTOP, type SignalSet } from "../linux/signal.ts";
import { WAIT, type WaitStatus, waitStatus } from "../linux/wait.ts";
import { lostThread } from "./lost-thread.ts";
import { runToExit } from "./run-to-exit.ts";

/**
 * ptrace(2) through the agent, for many threads at once, with PTRACE_O_EXITKILL. All but `seize` and `interrupt` want stopped
 * threads. Waits are bounded: after that the agent is killed, and what it traces with it.
 *
 * @throws NecromancerError, from all of them, ERR_HOST where the system does not allow it, ERR_STEP_FAILED for a thread that
 *   died.
 */
export interface Tracer {
	/** Attaches to running threads, which run on. */
	seize(tids: readonly number[]): Promise<void>;
	/** Stops running threads, wherever they are. A call that they sleep in goes on afterwards. */
	interrupt(tids: readonly number[]): Promise<void>;
	/** The next that happens to a thread. */
	wait(tid: number): Promise<WaitStatus>;
	getRegs(tids: readonly number[]): Promise<readonly UserRegs[]>;
	setRegs(tid: number, regs: UserRegs): Promise<void>;
	/** The first `size` bytes of the XSAVE area in the standard format, or all of it when that is less. */
	getXstate(tids: readonly number[], size: number): Promise<readonly Buffer[]>;
	getSigmask(tids: readonly number[]): Promise<readonly SignalSet[]>;
	setSigmask(tid: number, mask: SignalSet): Promise<void>;
	/** On to the next entry or exit of a system call; signals that come on the way are delivered. */
	syscallStep(tid: number): Promise<PtraceSyscallInfo>;
	/**
	 * Lets all of them run, each until it leaves the system call of that number, and stops there.
	 *
	 * @param told Called with what one reports that cannot go on, before it ends.
	 */
	toSyscallExit(tids: readonly number[], number: number, told?: (report: Report) => Promise<void>): Promise<void>;
	/**
	 * Injects a munmap(2) into a stopped thread, at the `syscall` instruction at `instruction`, which may lie inside the range.
	 * Its register set and mask are restored. All other threads must be stopped, outside the range.
	 */
	injectMunmap(tid: number, instruction: Address, range: Range): Promise<void>;
	/** Lets go of all threads of a process. */
	detach(tids: readonly number[], how?: Detaching): Promise<void>;
}

/** How a process is let go. */
export interface Detaching {
	/** Stopped as by SIGSTOP before any thread runs an instruction. */
	readonly stop?: boolean;
	/** By that signal; SIGSTOP where absent. */
	readonly stopSignal?: number;
	/** The process's id, which is that of no thread where its leader had ended; else the first of the threads. */
	readonly leader?: number;
	/** It is the agent's child, which is waited for later. That of another hears of its end when the agent has. */
	readonly isChild?: boolean;
}

/** No stop takes longer on a host that is alive. Milliseconds. */
const PATIENCE = 30_000;

export function tracerOn(agent: Agent): Tracer {
	/** Signals from signal-delivery-stops that are still to be delivered, by tid. */
	const owed = new Map<number, number>();

	/** Does the same to each of many threads, in as few requests as fit. */
	const each = <T>(
		tids: readonly number[],
		doing: string,
		add: (batch: SyscallBatch, tid: number) => T,
		read: (done: Performed, added: T, tid: number) => void,
		after?: (batch: SyscallBatch, tid: number) => void,
	): Promise<void> => inBatches(agent, tids, { doing, patience: PATIENCE, add, read, ...defined({ after }) });

	const must = (done: Performed, result: Slot, tid: number, call: string): void => {
		const value = done.result(result);
		if (value >= 0n) return;
		refuse("ERR_HOST", {
			subject: `thread ${tid}`,
			finding: `ptrace(${call}) failed with ${errnoName(Number(value))}`,
			...(failedWith(value, EPERM)
				? {
						expectation: "expected to be allowed to trace it",
						remedy:
							"give CAP_SYS_PTRACE, see that no other tracer, seccomp filter or security module is in the way, " +
							"or do without with --no-ptrace",
					}
				: { expectation: "expected a thread that is stopped for us" }),
		});
	};

	/** A buffer of each thread, filled by one request of ptrace. */
	const collect = async (
		tids: readonly number[],
		call: string,
		add: (batch: SyscallBatch, tid: number) => { readonly into: Slot; readonly result: Slot },
	): Promise<readonly Buffer[]> => {
		const found: Buffer[] = [];
		await each(tids, `reading registers`, add, (done, { into, result }, tid) => {
			must(done, result, tid, call);
			found.push(done.bytes(into));
		});
		return found;
	};

	const change = (tid: number, call: string, add: (batch: SyscallBatch) => Slot): Promise<void> =>
		each([tid], "setting registers", add, (done, result) => must(done, result, tid, call));

	const getRegs = async (tids: readonly number[]): Promise<readonly UserRegs[]> => {
		const raw = await collect(tids, "PTRACE_GETREGS", (batch, tid) => {
			const into = batch.space(userRegs.size);
			return { into, result: batch.call("ptrace", PTRACE.GETREGS, tid, 0, into) };
		});
		return raw.map((bytes) => userRegs.decode(bytes));
	};

	const setRegs = (tid: number, regs: UserRegs): Promise<void> =>
		change(tid, "PTRACE_SETREGS", (batch) =>
			batch.call("ptrace", PTRACE.SETREGS, tid, 0, batch.put(userRegs.encode(regs))),
		);

	const getSigmask = async (tids: readonly number[]): Promise<readonly SignalSet[]> => {
		const raw = await collect(tids, "PTRACE_GETSIGMASK", (batch, tid) => {
			const into = batch.space(Number(SIGSET_BYTES));
			return { into, result: batch.call("ptrace", PTRACE.GETSIGMASK, tid, SIGSET_BYTES, into) };
		});
		return raw.map((bytes) => bytes.readBigUInt64LE());
	};

	const setSigmask = (tid: number, mask: SignalSet): Promise<void> => {
		const bytes = new Uint8Array(Number(SIGSET_BYTES));
		viewOf(bytes).setBigUint64(0, mask, true);
		return change(tid, "PTRACE_SETSIGMASK", (batch) =>
			batch.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_BYTES, batch.put(bytes)),
		);
	};

	const syscallStep = async (tid: number): Promise<PtraceSyscallInfo> => {
		for (;;) {
			const batch = agent.batch();
			const status = batch.space(8);
			const info = batch.space(ptraceSyscallInfo.size);
			const resumed = batch.call("ptrace", PTRACE.SYSCALL, tid, 0, take(owed, tid));
			batch.call("wait4", tid, status, WAIT.ALL, 0);
			batch.call("ptrace", PTRACE.GET_SYSCALL_INFO, tid, info.size, info);
			const done = await agent.perform(batch, patience(`stepping thread ${tid}`));
			must(done, resumed, tid, "PTRACE_SYSCALL");
			const what = waitStatus(done.bytes(status).readUInt32LE());
			if (what.kind === "syscall") return ptraceSyscallInfo.decode(done.bytes(info));
			if (what.kind === "signal") owed.set(tid, what.signal);
			else if (what.kind !== "event") lostThread(tid, what);
		}
	};

	return {
		getRegs,
		setRegs,
		getSigmask,
		setSigmask,
		syscallStep,
		seize: (tids) =>
			each(
				tids,
				"attaching to threads",
				(batch, tid) => batch.call("ptrace", PTRACE.SEIZE, tid, 0, PTRACE_O.EXITKILL | PTRACE_O.TRACESYSGOOD),
				(done, result, tid) => must(done, result, tid, "PTRACE_SEIZE"),
			),
		interrupt: async (tids) => {
			const statuses = new Map<number, Slot>();
			await each(
				tids,
				"stopping threads",
				(batch, tid) => {
					statuses.set(tid, batch.space(8));
					return batch.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
				},
				(done, result, tid) => {
					must(done, result, tid, "PTRACE_INTERRUPT");
					const slot = statuses.get(tid);
					const status = waitStatus(slot === undefined ? 0 : done.bytes(slot).readUInt32LE());
					if (status.kind === "signal") owed.set(tid, status.signal);
					else if (status.kind === "exited" || status.kind === "killed") lostThread(tid, status);
				},
				// all are told to stop before the first is waited for
				(batch, tid) => void batch.call("wait4", tid, statuses.get(tid) ?? 0, WAIT.ALL, 0),
			);
		},
		wait: async (tid) => {
			const batch = agent.batch();
			const status = batch.space(8);
			const waited = batch.call("wait4", tid, status, WAIT.ALL, 0);
			const done = await agent.perform(batch, patience(`waiting for thread ${tid}`));
			must(done, waited, tid, "wait4");
			const what = waitStatus(done.bytes(status).readUInt32LE());
			if (what.kind === "signal") owed.set(tid, what.signal);
			return what;
		},
		getXstate: (tids, size) =>
			collect(tids, "PTRACE_GETREGSET", (batch, tid) => {
				const into = batch.space(size, 64);
				const iov = batch.put(iovec.encode({ iov_base: into.at, iov_len: BigInt(size) }));
				return { into, result: batch.call("ptrace", PTRACE.GETREGSET, tid, NT.X86_XSTATE, iov) };
			}),
		toSyscallExit: (tids, number, told) => runToExit(agent, tids, number, owed, PATIENCE, told),
		injectMunmap: async (tid, instruction, range) => {
			const [[regs], [mask]] = [await getRegs([tid]), await getSigmask([tid])];
			if (regs === undefined || mask === undefined) return;
			await setSigmask(tid, ALL_SIGNALS);
			await setRegs(tid, {
				...regs,
				ip: instruction,
				// the stack is not used, but a non-canonical sp would fault on the way out
				sp: instruction,
				ax: BigInt(syscallNumber("munmap")),
				di: range.start,
				si: lengthOf(range),
				orig_ax: ALL_SIGNALS,
			});
			await syscallStep(tid);
			const { nr } = await syscallStep(tid);
			await setRegs(tid, regs);
			await setSigmask(tid, mask);
			const result = BigInt.asIntN(64, nr);
			if (result === 0n) return;
			refuse("ERR_STEP_FAILED", {
				subject: `thread ${tid}`,
				finding: `munmap of ${hex(range.start)} to ${hex(range.end)} returned ${errnoName(Number(result))}`,
				expectation: "expected the restorer's own memory to go",
			});
		},
		detach: async (tids, { stop = false, stopSignal = SIGSTOP, leader = tids[0] ?? 0, isChild = true } = {}) => {
			if (stop) await agent.call("kill", leader, stopSignal);
			const gone: number[] = [];
			await each(
				tids,
				"letting threads go",
				(batch, tid) => batch.call("ptrace", PTRACE.DETACH, tid, 0, take(owed, tid)),
				(done, result, tid) => {
					// the first detached thread may have ended the process before the last was detached
					if (failedWith(done.result(result), ESRCH)) gone.push(tid);
					else must(done, result, tid, "PTRACE_DETACH");
				},
			);
			// the parent is told of the leader's exit only when no dead thread is traced any more: reap them
			for (const tid of gone) if (tid !== leader) await agent.call("wait4", tid, 0, WAIT.ALL, 0);
			if (!isChild && gone.includes(leader)) await agent.call("wait4", leader, 0, WAIT.ALL, 0);
			// Where it is the agent's child, it is stopped when this returns; of another's the agent hears nothing.
			if (stop) {
				const batch = agent.batch();
				batch.call("wait4", leader, batch.space(8), WAIT.UNTRACED, 0);
				await agent.perform(batch, patience(`stopping process ${leader}`));
			}
		},
	};
}

const patience = (doing: string): Patience => ({ patience: PATIENCE, doing });

function take(owed: Map<number, number>, tid: number): number {
	const signal = owed.get(tid) ?? 0;
	owed.delete(tid);
	return signal;
}
