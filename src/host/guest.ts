import type { Address } from "../bytes/address.ts";
import { viewOf } from "../bytes/layout.ts";
import { refuse } from "../errors.ts";
import { PTRACE, SIGSET_SIZE } from "../linux/ptrace.ts";
import { type UserRegs, userRegs } from "../linux/registers.ts";
import type { SignalSet } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { type CallName, callNumber } from "../plan/calls.ts";
import type { Agent } from "./agent.ts";
import { inBatches } from "./batch.ts";
import { driveToExit } from "./drive.ts";
import type { Errand, Spot } from "./errand.ts";
import { lostThread } from "./lost-thread.ts";

/*
 * What a stopped thread of somebody else's is made to do, and how it gets back what was its own. Its registers are set before
 * its mask, and its mask is given back before its registers: killed at any moment, we leave no thread with all signals
 * blocked. One request does all that must be done together: an agent carries out what it was sent, also when nobody is
 * there any more to hear of it.
 */

/** A thread at a stop of PTRACE_INTERRUPT, and what it is to go on with. */
export interface Standing {
	readonly tid: number;
	readonly regs: UserRegs;
	readonly mask: SignalSet;
}

const ALL_SIGNALS: SignalSet = (1n << 64n) - 1n;

/** `orig_ax` of a thread that is in no system call: nothing is restarted. */
const NO_CALL = ALL_SIGNALS;

/** Milliseconds. */
const PATIENCE = 30_000;

/** So often a call is tried that a stop signal from outside came between. */
const TRIES = 3;

/**
 * One system call by a thread's own hands, by a `syscall` instruction of its process. It stands afterwards as before.
 *
 * @param owed Signals that came between and that its process is still to get. Added to.
 * @returns what it returned: an error is -errno.
 * @throws NecromancerError ERR_PROCESS when it dies, ERR_HOST when it is not left alone.
 */
export async function remoteCall(
	agent: Agent,
	{ tid, regs, mask }: Standing,
	instruction: Address,
	name: CallName,
	args: readonly bigint[],
	owed: Set<number>,
): Promise<bigint> {
	const [di = 0n, si = 0n, dx = 0n, r10 = 0n, r8 = 0n, r9 = 0n] = args;
	const ax = BigInt(callNumber(name));
	const calling = { ...regs, ip: instruction, ax, di, si, dx, r10, r8, r9, orig_ax: NO_CALL };
	for (let attempt = 1; attempt <= TRIES; attempt++) {
		const errand = agent.errand();
		// folklore: a thread that job control had stopped has another stop in store, which would come instead of the first
		const drained = addStop(errand, tid);
		addTakeOver(errand, tid, calling);
		const entry = addRun(errand, PTRACE.SYSCALL, tid);
		const exit = addRun(errand, PTRACE.SYSCALL, tid);
		const result = errand.space(userRegs.size);
		errand.call("ptrace", PTRACE.GETREGS, tid, 0, result);
		const still = addStop(errand, tid);
		addGiveBack(errand, { tid, regs, mask });
		const done = await agent.perform(errand, { patience: PATIENCE, doing: `${name} in thread ${tid}` });
		const stops = [drained, entry, exit, still].map((spot) => waitStatus(done.bytes(spot).readUInt32LE()));
		for (const stop of stops) {
			if (stop.kind === "exited" || stop.kind === "killed") lostThread(tid, stop, "ERR_PROCESS");
			if (stop.kind === "signal") owed.add(stop.signal);
		}
		if (stops.map(({ kind }) => kind).join() === "event,syscall,syscall,event")
			return BigInt.asIntN(64, userRegs.decode(done.bytes(result)).ax);
	}
	return refuse("ERR_HOST", {
		subject: `thread ${tid}`,
		finding: `could not make the call ${name} undisturbed`,
		expectation: "expected nobody else to stop and continue the process",
	});
}

/** A thread that is to run a list of the blob in its process's memory. */
export interface Guest extends Standing {
	/** The first step of its list. */
	readonly steps: Address;
	/** Where its stack for that ends. */
	readonly stack: Address;
	/** Calls of its list up to and with the last. */
	readonly calls: number;
}

/** What all guests share. */
export interface Visit {
	/** The blob's `child_entry`. */
	readonly entry: Address;
	/** `struct context` */
	readonly context: Address;
	/** The call after which all is done; no list makes it before. What follows it, a thread only runs when we are gone. */
	readonly last: CallName;
}

/**
 * Has threads run their lists up to the last call, all at the same time. They stand afterwards as before.
 *
 * @param owed as for {@link remoteCall}.
 * @throws NecromancerError ERR_PROCESS when one dies.
 */
export async function runGuests(
	agent: Agent,
	guests: readonly Guest[],
	{ entry, context, last }: Visit,
	owed: Set<number>,
): Promise<void> {
	await inBatches(agent, guests, {
		doing: "asking threads",
		patience: PATIENCE,
		add: (errand, { tid, regs, stack, steps }) =>
			addTakeOver(errand, tid, { ...regs, ip: entry, sp: stack, r12: context, r13: steps, orig_ax: NO_CALL }),
		read: () => {},
	});
	const later = new Map<number, number>();
	const [first] = guests;
	// each stop of a lone thread would be a request of its own
	if (first !== undefined) await runAhead(agent, first, later);
	const tids = guests.map(({ tid }) => tid);
	await driveToExit(agent, tids, callNumber(last), later, PATIENCE);
	for (const signal of later.values()) owed.add(signal);
	await inBatches(agent, tids, {
		doing: "asking threads",
		patience: PATIENCE,
		add: (errand, tid) => {
			errand.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
			errand.call("ptrace", PTRACE.CONT, tid, 0, 0);
		},
		read: () => {},
	});
	await inBatches(agent, guests, {
		doing: "giving threads back what was theirs",
		patience: PATIENCE,
		add: (errand, { tid }) => addWait(errand, tid),
		after: addGiveBack,
		read: (done, status, { tid }) => {
			const what = waitStatus(done.bytes(status).readUInt32LE());
			if (what.kind === "exited" || what.kind === "killed") lostThread(tid, what, "ERR_PROCESS");
			if (what.kind === "signal") owed.add(what.signal);
		},
	});
}

/** Lets one thread make all but its last call: two stops each. */
async function runAhead(agent: Agent, { tid, calls }: Guest, later: Map<number, number>): Promise<void> {
	const errand = agent.errand();
	const stops = Array.from({ length: 2 * (calls - 1) }, () => addRun(errand, PTRACE.SYSCALL, tid));
	const done = await agent.perform(errand, { patience: PATIENCE, doing: `asking thread ${tid}` });
	for (const stop of stops) {
		const what = waitStatus(done.bytes(stop).readUInt32LE());
		if (what.kind === "exited" || what.kind === "killed") lostThread(tid, what, "ERR_PROCESS");
		if (what.kind === "signal") later.set(tid, what.signal);
	}
}

function addTakeOver(errand: Errand, tid: number, regs: UserRegs): void {
	errand.call("ptrace", PTRACE.SETREGS, tid, 0, errand.put(userRegs.encode(regs)));
	errand.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_SIZE, errand.put(maskBytes(ALL_SIGNALS)));
}

function addGiveBack(errand: Errand, { tid, regs, mask }: Standing): void {
	errand.call("ptrace", PTRACE.SETSIGMASK, tid, SIGSET_SIZE, errand.put(maskBytes(mask)));
	errand.call("ptrace", PTRACE.SETREGS, tid, 0, errand.put(userRegs.encode(regs)));
}

/** Resumes a thread and waits for its next stop, whose status comes to lie at the spot. */
function addRun(errand: Errand, request: number, tid: number): Spot {
	errand.call("ptrace", request, tid, 0, 0);
	return addWait(errand, tid);
}

/** On to a stop of PTRACE_INTERRUPT, without an instruction of the thread's own: none is in store afterwards. */
function addStop(errand: Errand, tid: number): Spot {
	errand.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
	return addRun(errand, PTRACE.CONT, tid);
}

function addWait(errand: Errand, tid: number): Spot {
	const status = errand.space(8);
	errand.call("wait4", tid, status, WAIT.ALL, 0);
	return status;
}

function maskBytes(mask: SignalSet): Uint8Array {
	const bytes = new Uint8Array(SIGSET_SIZE);
	viewOf(bytes).setBigUint64(0, mask, true);
	return bytes;
}
