import type { Agent, Undoing } from "../agent/agent.ts";
import { type Errand, EVERY_BIT, type Label, label, type Spot } from "../agent/batch.ts";
import { inBatches } from "../agent/chunked.ts";
import { type UserRegs, userRegs } from "../arch/x86-64/registers.ts";
import { type Address, PAGE_SIZE, plus } from "../bytes/address.ts";
import { viewOf } from "../bytes/layout.ts";
import { PTRACE, SIGSET_SIZE } from "../linux/ptrace.ts";
import type { SignalSet } from "../linux/signal.ts";
import { type CallName, callNumber } from "../program/calls.ts";
import { requireStanding, type Trodden, type Walk, walkOf } from "./stepping.ts";

/*
 * What a stopped thread of somebody else's is made to do, and how it gets back what was its own. One errand takes a thread
 * from where it stands to where it stands again, whatever comes between: an agent carries out what it was sent, also when
 * nobody is there any more to hear of it. So between two errands every thread has its own registers and its own mask, and
 * an undo list never finds one that is under way.
 *
 * Registers are set before the mask, and the mask is given back before the registers: should the agent itself be killed, no
 * thread is left with all signals blocked that is not also left where it makes no call of its own.
 */

/** A thread at a stop of PTRACE_INTERRUPT, and what it is to go on with. */
export interface Standing {
	readonly tid: number;
	readonly regs: UserRegs;
	readonly mask: SignalSet;
}

const ALL_SIGNALS: SignalSet = (1n << 64n) - 1n;

/** `orig_ax` of a thread that is in no system call: nothing is restarted. */
const NO_CALL = (1n << 64n) - 1n;

/** Milliseconds. */
const PATIENCE = 30_000;

/** A call that a thread is to make with its own hands, by a `syscall` instruction of its process. */
export interface RemoteCall {
	readonly name: CallName;
	readonly args: readonly bigint[];
	/** Other words of the agent that get what it returns: of an undo list. */
	readonly copies?: readonly Spot[];
	/** What 8 bytes of the process's memory hold afterwards goes into a word of the agent. */
	readonly peeks?: readonly { readonly from: Address; readonly to: Spot }[];
}

/**
 * One system call by a thread's own hands. It stands afterwards as before.
 *
 * @returns what it returned: an error is -errno.
 * @throws NecromancerError ERR_PROCESS when it dies, ERR_HOST when it is taken from us.
 */
export async function remoteCall(
	agent: Agent,
	standing: Standing,
	instruction: Address,
	call: RemoteCall,
	undoing: Undoing = {},
): Promise<bigint> {
	const errand = agent.errand();
	const words = wordsOf(errand, standing, instruction, call);
	const { result, ...trodden } = addCall(errand, standing, words, call);
	const doing = `${call.name} in thread ${standing.tid}`;
	const done = await agent.perform(errand, { patience: PATIENCE, doing, ...undoing });
	requireStanding(done, trodden, standing.tid);
	return done.result(result);
}

/**
 * Adds to an undo list that a thread unmaps memory, if there is any by then.
 *
 * @returns the word that is to get its address: 0, and what is no multiple of a page (an errno), mean that there is none.
 */
export function addRemoteUnmap(errand: Errand, standing: Standing, instruction: Address, length: bigint): Spot {
	const words = wordsOf(errand, standing, instruction, { name: "munmap", args: [0n, length] });
	const start = firstArgument(words);
	const [none, aligned] = [label("nothing to unmap"), label("a multiple of a page")];
	errand.branch({ valueOf: start }, PAGE_SIZE - 1n, 0, aligned);
	errand.jump(none);
	errand.mark(aligned);
	errand.branch({ valueOf: start }, EVERY_BIT, 0, none);
	addCall(errand, standing, words);
	errand.mark(none);
	return start;
}

const wordsOf = (errand: Errand, standing: Standing, instruction: Address, call: RemoteCall): Spot =>
	errand.put(userRegs.encode(callingRegs(standing, instruction, call)));

const firstArgument = (words: Spot): Spot => ({ at: plus(words.at, BigInt(userRegs.offsetOf("di"))), size: 8 });

/** One of several calls that a thread makes in a row. */
export interface RowCall extends Pick<RemoteCall, "name" | "args"> {
	/** Adds what the agent does when it has come back, before the next; `out` leads to where the thread stands again. */
	readonly after?: (errand: Errand, out: Label) => void;
}

/** A row of calls in an errand. */
export interface Row {
	/** For each the word of its first argument, which may get another value before it is made. */
	readonly firsts: readonly Spot[];
	/** What each returned; 0 where it was not made. */
	readonly results: readonly Spot[];
	/** For {@link requireStanding}. */
	readonly trodden: Trodden;
}

/** Adds several calls of one thread, from where it stands to where it stands again. */
export function addRow(errand: Errand, standing: Standing, instruction: Address, calls: readonly RowCall[]): Row {
	const { tid } = standing;
	const walk = walkOf(errand, tid);
	const out = label("out of the row");
	const [firsts, results]: [Spot[], Spot[]] = [[], []];
	for (const [i, call] of calls.entries()) {
		const words = wordsOf(errand, standing, instruction, call);
		const result = errand.space(8);
		if (i === 0) addTakeOver(errand, tid, words);
		else errand.call("ptrace", PTRACE.SETREGS, tid, 0, words);
		addMade(errand, tid, walk, [result]);
		call.after?.(errand, out);
		firsts.push(firstArgument(words));
		results.push(result);
	}
	errand.mark(out);
	walk.stop();
	addGiveBack(errand, standing);
	return { firsts, results, trodden: walk.end() };
}

function callingRegs({ regs }: Standing, instruction: Address, { name, args }: RemoteCall): UserRegs {
	const [di = 0n, si = 0n, dx = 0n, r10 = 0n, r8 = 0n, r9 = 0n] = args;
	const ax = BigInt(callNumber(name));
	return { ...regs, ip: instruction, ax, di, si, dx, r10, r8, r9, orig_ax: NO_CALL };
}

/** From where a thread stands through one call to where it stands again. */
function addCall(
	errand: Errand,
	standing: Standing,
	words: Spot,
	{ copies = [], peeks = [] }: Pick<RemoteCall, "copies" | "peeks"> = {},
) {
	const { tid } = standing;
	const walk = walkOf(errand, tid);
	const result = errand.space(8);
	addTakeOver(errand, tid, words);
	addMade(errand, tid, walk, [result, ...copies]);
	for (const { from, to } of peeks) errand.call("ptrace", PTRACE.PEEKDATA, tid, from, to.at);
	walk.stop();
	addGiveBack(errand, standing);
	return { result, ...walk.end() };
}

/** Into the call that its registers name, and out of it. */
function addMade(errand: Errand, tid: number, walk: Walk, results: readonly Spot[]): void {
	walk.run("syscall");
	walk.run("syscall");
	for (const { at } of results) errand.call("ptrace", PTRACE.PEEKUSER, tid, userRegs.offsetOf("ax"), at);
}

/** A thread that is to run a list of the blob in its process's memory. */
export interface Guest extends Standing {
	/** The first step of its list. */
	readonly steps: Address;
	/** Where its stack for that ends. */
	readonly stack: Address;
}

/** What all guests share. */
export interface Visit {
	/** The blob's `child_entry`. */
	readonly entry: Address;
	/** `struct context` */
	readonly context: Address;
	/** The call after which all is done; no list makes it before. What follows it, a thread only runs when the agent is gone. */
	readonly last: CallName;
}

/**
 * Has threads run their lists up to the last call, one after the other. They stand afterwards as before.
 *
 * @throws NecromancerError ERR_PROCESS when one dies, ERR_HOST when one is taken from us.
 */
export const runGuests = (agent: Agent, guests: readonly Guest[], { entry, context, last }: Visit): Promise<void> =>
	inBatches(agent, guests, {
		doing: "asking threads",
		patience: PATIENCE,
		add: (errand, guest) => {
			const { tid, regs, stack, steps } = guest;
			const walk = walkOf(errand, tid);
			const [again, arrived] = [label("another call"), label("the last call")];
			const number = errand.space(8);
			const entering = { ...regs, ip: entry, sp: stack, r12: context, r13: steps, orig_ax: NO_CALL };
			addTakeOver(errand, tid, errand.put(userRegs.encode(entering)));
			errand.mark(again);
			walk.run("syscall");
			errand.call("ptrace", PTRACE.PEEKUSER, tid, userRegs.offsetOf("orig_ax"), number);
			errand.branch({ valueOf: number }, EVERY_BIT, callNumber(last), arrived);
			errand.jump(again);
			errand.mark(arrived);
			walk.run("syscall");
			walk.stop();
			addGiveBack(errand, guest);
			return walk.end();
		},
		read: (done, trodden, { tid }) => requireStanding(done, trodden, tid),
	});

/** Gives all threads back what was theirs, for when that went wrong and there may be some that have not got it. */
export const giveBack = (agent: Agent, threads: readonly Standing[]): Promise<void> =>
	inBatches(agent, threads, { doing: "giving back", patience: PATIENCE, add: addGiveBack, read: () => {} });

function addTakeOver(errand: Errand, tid: number, words: Spot): void {
	errand.call("ptrace", PTRACE.SETREGS, tid, 0, words);
	errand.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_SIZE, errand.put(maskBytes(ALL_SIGNALS)));
}

function addGiveBack(errand: Errand, { tid, regs, mask }: Standing): void {
	errand.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_SIZE, errand.put(maskBytes(mask)));
	errand.call("ptrace", PTRACE.SETREGS, tid, 0, errand.put(userRegs.encode(regs)));
}

function maskBytes(mask: SignalSet): Uint8Array {
	const bytes = new Uint8Array(SIGSET_SIZE);
	viewOf(bytes).setBigUint64(0, mask, true);
	return bytes;
}
