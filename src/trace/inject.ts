import type { Agent, Undoing } from "../agent/agent.ts";
import { EVERY_BIT, type Label, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { inBatches } from "../agent/in-batches.ts";
import { type UserRegs, userRegs } from "../arch/x86-64/registers.ts";
import { type Address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { viewOf } from "../bytes/layout.ts";
import { PTRACE } from "../linux/ptrace.ts";
import { ALL_SIGNALS, SIGSET_BYTES, type SignalSet } from "../linux/signal.ts";
import { type ArgsOf, type CallName, callNumber } from "../program/calls.ts";
import { type LastStop, requireStopped, stepThread } from "./stepping.ts";

/*
 * System calls injected into a stopped thread of another process. One batch does all of it, from saving registers and signal
 * mask to restoring them, and the agent finishes a batch also when our process has ended. So between two batches every thread
 * has its own register set and mask, and an undo list never finds a thread in the middle of an injected call.
 *
 * Registers are set before the mask, and the mask is restored before the registers: if the agent itself is killed, a thread
 * that is left with all signals blocked is also left outside its own code.
 */

/** A thread in the ptrace-stop of PTRACE_INTERRUPT, and the register set and mask that it is to resume with. */
export interface StoppedThread {
	readonly tid: number;
	readonly regs: UserRegs;
	readonly mask: SignalSet;
}

/** `orig_ax` outside a system call: the kernel restarts nothing. */
const NO_CALL = (1n << 64n) - 1n;

/** Milliseconds. */
const PATIENCE = 30_000;

/** A call with as many arguments as it takes. */
type VictimCall = { readonly [C in CallName]: { readonly name: C; readonly args: ArgsOf<C, bigint> } }[CallName];

/** A system call for a thread to make, at a `syscall` instruction of its process. */
export type InjectedCall = VictimCall & Outcome;

/** Where the result of an injected call goes, and more of what it did. */
interface Outcome {
	/** Words of the agent's memory, such as of an undo list, that get a copy of the result. */
	readonly copies?: readonly Slot[];
	/** Words of the process's memory that are copied to the agent after the call. */
	readonly peeks?: readonly { readonly from: Address; readonly to: Slot }[];
}

/**
 * Injects one system call into a stopped thread, which is stopped with the same register set and mask afterwards.
 *
 * @returns what it returned: an error is -errno.
 * @throws NecromancerError ERR_PROCESS when it dies, ERR_HOST when it is taken from us.
 */
export async function injectCall(
	agent: Agent,
	thread: StoppedThread,
	instruction: Address,
	call: InjectedCall,
	undoing: Undoing = {},
): Promise<bigint> {
	const batch = agent.batch();
	const words = wordsOf(batch, thread, instruction, call);
	const { result, ...lastStop } = addCall(batch, thread, words, call);
	const doing = `${call.name} in thread ${thread.tid}`;
	const done = await agent.perform(batch, { patience: PATIENCE, doing, ...undoing });
	requireStopped(done, lastStop, thread.tid);
	return done.result(result);
}

/**
 * Adds to an undo list an injected munmap(2), made only if memory was mapped by then.
 *
 * @returns the word for its address; 0 and values that are not page aligned (-errno) mean that nothing is mapped.
 */
export function addInjectedUnmap(
	batch: SyscallBatch,
	thread: StoppedThread,
	instruction: Address,
	length: bigint,
): Slot {
	const words = wordsOf(batch, thread, instruction, { name: "munmap", args: [0n, length] });
	const start = firstArgument(words);
	const [none, aligned] = [label("nothing to unmap"), label("a multiple of a page")];
	batch.branch({ valueOf: start }, PAGE_SIZE - 1n, 0, aligned);
	batch.jump(none);
	batch.mark(aligned);
	batch.branch({ valueOf: start }, EVERY_BIT, 0, none);
	addCall(batch, thread, words);
	batch.mark(none);
	return start;
}

const wordsOf = (batch: SyscallBatch, thread: StoppedThread, instruction: Address, call: InjectedCall): Slot =>
	batch.put(userRegs.encode(callingRegs(thread, instruction, call)));

const firstArgument = (words: Slot): Slot => ({ at: plus(words.at, BigInt(userRegs.offsetOf("di"))), size: 8 });

/** One of several calls that a thread makes in a row. */
export type CallInRow = VictimCall &
	Pick<Outcome, "peeks"> & {
		/** What the agent does before the thread enters the call, and before it leaves it. */
		readonly meanwhile?: readonly [Meanwhile, Meanwhile];
	};

/** Adds calls to the batch; a branch to `out` stops the thread and restores it from wherever it is. */
export type Meanwhile = (batch: SyscallBatch, out: Label) => void;

/** A row of calls in a batch. */
export interface InjectedCalls {
	/** For each the word of its first argument, which may get another value before it is made. */
	readonly firsts: readonly Slot[];
	/** What each returned; 0 where it was not made. */
	readonly results: readonly Slot[];
	/** For {@link requireStopped}. */
	readonly lastStop: LastStop;
}

/**
 * Adds several injected calls of one thread, with saving and restoring its registers and mask.
 *
 * @param last What the agent does after the last of them.
 */
export function addInjectedCalls(
	batch: SyscallBatch,
	thread: StoppedThread,
	instruction: Address,
	calls: readonly CallInRow[],
	last: Meanwhile = () => {},
): InjectedCalls {
	const { tid } = thread;
	const stepping = stepThread(batch, tid);
	const [out, running] = [label("out of the row"), label("out of a call")];
	const [firsts, results]: [Slot[], Slot[]] = [[], []];
	for (const [i, call] of calls.entries()) {
		const words = wordsOf(batch, thread, instruction, call);
		const result = batch.space(8);
		if (i === 0) addTakeOver(batch, tid, words);
		else batch.call("ptrace", PTRACE.SETREGS, tid, 0, words);
		const [entering, leaving] = call.meanwhile ?? [];
		for (const meanwhile of [entering, leaving]) {
			stepping.start("syscall");
			meanwhile?.(batch, running);
			stepping.arrive("syscall");
		}
		addResult(batch, tid, [result]);
		addPeeks(batch, tid, call.peeks);
		firsts.push(firstArgument(words));
		results.push(result);
	}
	last(batch, out);
	if (calls.some(({ meanwhile }) => meanwhile !== undefined)) {
		batch.jump(out);
		batch.mark(running);
		stepping.arrive("syscall");
	}
	batch.mark(out);
	stepping.stop();
	addGiveBack(batch, thread);
	return { firsts, results, lastStop: stepping.end() };
}

function callingRegs({ regs }: StoppedThread, instruction: Address, { name, args }: InjectedCall): UserRegs {
	const [di = 0n, si = 0n, dx = 0n, r10 = 0n, r8 = 0n, r9 = 0n] = args;
	const ax = BigInt(callNumber(name));
	return { ...regs, ip: instruction, ax, di, si, dx, r10, r8, r9, orig_ax: NO_CALL };
}

/** One injected call, from the thread's ptrace-stop to its next. */
function addCall(batch: SyscallBatch, thread: StoppedThread, words: Slot, { copies = [], peeks = [] }: Outcome = {}) {
	const { tid } = thread;
	const stepping = stepThread(batch, tid);
	const result = batch.space(8);
	addTakeOver(batch, tid, words);
	stepping.run("syscall");
	stepping.run("syscall");
	addResult(batch, tid, [result, ...copies]);
	addPeeks(batch, tid, peeks);
	stepping.stop();
	addGiveBack(batch, thread);
	return { result, ...stepping.end() };
}

/** Reads the result at the syscall-exit-stop. */
function addResult(batch: SyscallBatch, tid: number, results: readonly Slot[]): void {
	for (const { at } of results) batch.call("ptrace", PTRACE.PEEKUSER, tid, userRegs.offsetOf("ax"), at);
}

function addPeeks(batch: SyscallBatch, tid: number, peeks: Outcome["peeks"] = []): void {
	for (const { from, to } of peeks) batch.call("ptrace", PTRACE.PEEKDATA, tid, from, to.at);
}

/** A thread that is to run a list of the blob in its process's memory. */
export interface Parasite extends StoppedThread {
	/** The first step of its list. */
	readonly steps: Address;
	/** The upper end of its stack for that. */
	readonly stack: Address;
}

/** What all parasites share. */
export interface ParasiteEntry {
	/** The blob's `child_entry`. */
	readonly entry: Address;
	/** `struct context` */
	readonly context: Address;
	/** The call that marks the end of each list and appears nowhere else in it. Steps after it run only if the agent dies. */
	readonly last: CallName;
}

/**
 * Has threads run their lists up to the last call, one after the other, and restores their registers and masks.
 *
 * @throws NecromancerError ERR_PROCESS when one dies, ERR_HOST when one is taken from us.
 */
export const runParasites = (
	agent: Agent,
	parasites: readonly Parasite[],
	{ entry, context, last }: ParasiteEntry,
): Promise<void> =>
	inBatches(agent, parasites, {
		doing: "asking threads",
		patience: PATIENCE,
		add: (batch, parasite) => {
			const { tid, regs, stack, steps } = parasite;
			const stepping = stepThread(batch, tid);
			const [again, arrived] = [label("another call"), label("the last call")];
			const number = batch.space(8);
			const entering = { ...regs, ip: entry, sp: stack, r12: context, r13: steps, orig_ax: NO_CALL };
			addTakeOver(batch, tid, batch.put(userRegs.encode(entering)));
			batch.mark(again);
			stepping.run("syscall");
			batch.call("ptrace", PTRACE.PEEKUSER, tid, userRegs.offsetOf("orig_ax"), number);
			batch.branch({ valueOf: number }, EVERY_BIT, callNumber(last), arrived);
			batch.jump(again);
			batch.mark(arrived);
			stepping.run("syscall");
			stepping.stop();
			addGiveBack(batch, parasite);
			return stepping.end();
		},
		read: (done, lastStop, { tid }) => requireStopped(done, lastStop, tid),
	});

/** Restores registers and masks of all threads after a failure, when some may not have them back. */
export const restoreThreads = (agent: Agent, threads: readonly StoppedThread[]): Promise<void> =>
	inBatches(agent, threads, { doing: "giving back", patience: PATIENCE, add: addGiveBack, read: () => {} });

function addTakeOver(batch: SyscallBatch, tid: number, words: Slot): void {
	batch.call("ptrace", PTRACE.SETREGS, tid, 0, words);
	batch.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_BYTES, batch.put(maskBytes(ALL_SIGNALS)));
}

function addGiveBack(batch: SyscallBatch, { tid, regs, mask }: StoppedThread): void {
	batch.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_BYTES, batch.put(maskBytes(mask)));
	batch.call("ptrace", PTRACE.SETREGS, tid, 0, batch.put(userRegs.encode(regs)));
}

function maskBytes(mask: SignalSet): Uint8Array {
	const bytes = new Uint8Array(Number(SIGSET_BYTES));
	viewOf(bytes).setBigUint64(0, mask, true);
	return bytes;
}
