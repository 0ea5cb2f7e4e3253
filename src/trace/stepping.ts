import type { Performed } from "../agent/agent.ts";
import { EVERY_BIT, label, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { plus } from "../bytes/address.ts";
import { refuse } from "../errors.ts";
import { PTRACE, PTRACE_EVENT_STOP } from "../linux/ptrace.ts";
import { SIGTRAP } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { lostThread } from "./lost-thread.ts";

/** How far a thread came. */
export interface LastStop {
	/** Which thread was seen last; another number where it was lost. */
	readonly who: Slot;
	/** Of its last stop. */
	readonly status: Slot;
}

/** @throws NecromancerError ERR_PROCESS when it has died, ERR_HOST when it was taken from us. */
export function requireStopped(done: Performed, { who, status }: LastStop, tid: number): void {
	const stop = waitStatus(done.bytes(status).readUInt32LE());
	if (done.result(who) !== BigInt(tid))
		refuse("ERR_HOST", {
			subject: `thread ${tid}`,
			finding: "could not be led back to where it stood",
			expectation: "expected nobody else to trace it",
		});
	if (stop.kind === "exited" || stop.kind === "killed") lostThread(tid, stop, "ERR_PROCESS");
}

/** Status words: what tells the kinds of stops apart, as mask and value (see {@link waitStatus}). */
const stops = {
	any: [0xff, 0x7f],
	syscall: [0xff_ff00, (SIGTRAP | 0x80) << 8],
	/** Of PTRACE_INTERRUPT, or with the group. */
	event: [0xff_0000, PTRACE_EVENT_STOP << 16],
} as const;

export interface Stepping {
	/**
	 * Lets the thread run to its next stop of a kind. What comes between is dealt with as if nobody looked: a signal (with all
	 * others blocked, SIGSTOP) is delivered, and a stop that job control has in store passed over, as it comes again when the
	 * thread is let go.
	 */
	run(kind: "syscall" | "event"): void;
	/** On to a stop of PTRACE_INTERRUPT, without an instruction of the thread's own. */
	stop(): void;
	/** Where it is lost, the batch goes on here. */
	end(): LastStop;
}

/** The way of a stopped thread through a batch; several may follow one another. */
export function stepThread(batch: SyscallBatch, tid: number): Stepping {
	const [who, status] = [batch.space(8), batch.space(16)];
	const lost = label("lost");
	/** A signal that is about to be delivered: the second byte and what is above it. */
	const signal = { at: plus(status.at, 1n), size: 8 };
	const run: Stepping["run"] = (kind) => {
		const request = kind === "syscall" ? PTRACE.SYSCALL : PTRACE.CONT;
		const [on, wait, here, stopped, arrived] = [
			label("on"),
			label("wait"),
			label("here"),
			label("stopped"),
			label(kind),
		];
		batch.mark(on);
		batch.call("ptrace", request, tid, 0, 0);
		batch.mark(wait);
		batch.callInto(who, "wait4", tid, status, WAIT.ALL, 0);
		batch.branch({ valueOf: who }, EVERY_BIT, tid, here);
		batch.jump(lost);
		batch.mark(here);
		batch.branch({ valueOf: status }, ...stops.any, stopped);
		batch.jump(lost);
		batch.mark(stopped);
		const [mask, wanted] = stops[kind];
		batch.branch({ valueOf: status }, mask, wanted, arrived);
		batch.branch({ valueOf: status }, ...stops.syscall, on);
		batch.branch({ valueOf: status }, ...stops.event, on);
		batch.call("ptrace", request, tid, 0, { valueOf: signal });
		batch.jump(wait);
		batch.mark(arrived);
	};
	return {
		run,
		stop: () => {
			batch.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
			run("event");
		},
		end: () => {
			batch.mark(lost);
			return { who, status };
		},
	};
}
