import type { Performed } from "../agent/agent.ts";
import { EVERY_BIT, label, SIGN, type Slot, type SyscallBatch } from "../agent/batch.ts";
import { plus } from "../bytes/address.ts";
import { refuse } from "../errors.ts";
import { PTRACE, PTRACE_EVENT_STOP } from "../linux/ptrace.ts";
import { SIGTRAP } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { lostThread } from "./lost-thread.ts";

/** The last ptrace-stop of a thread in a batch. */
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
	syscall: [0xff_ffff, ((SIGTRAP | 0x80) << 8) | 0x7f],
	/** Of PTRACE_INTERRUPT, or with the group. */
	event: [0xff_00ff, (PTRACE_EVENT_STOP << 16) | 0x7f],
} as const;

type Kind = "syscall" | "event";

export interface Stepping {
	/**
	 * Resumes the thread until its next stop of a kind. Signal-delivery-stops on the way are passed on (SIGSTOP, all others are
	 * blocked), and group-stops are skipped: they come again after the detach.
	 */
	run(kind: Kind): void;
	/** Resumes it without waiting: the agent may make other calls before {@link arrive}. */
	start(kind: Kind): void;
	/** Waits for the stop. */
	arrive(kind: Kind): void;
	/**
	 * To the stop of PTRACE_INTERRUPT, without an instruction of its own code. The thread must be stopped: any other stop that
	 * comes first cancels the request (task_clear_jobctl_pending in ptrace_stop, kernel/signal.c).
	 */
	stop(): void;
	/** Ends the sequence: if the thread was lost, the batch continues here. */
	end(): LastStop;
}

/** Moves a stopped thread from ptrace-stop to ptrace-stop within a batch. All else that the agent traces is stopped. */
export function stepThread(batch: SyscallBatch, tid: number): Stepping {
	const [who, status] = [batch.space(8), batch.space(16)];
	const lost = label("lost");
	/** A signal that is about to be delivered: the second byte and what is above it. */
	const signal = { at: plus(status.at, 1n), size: 8 };
	const requestFor = (kind: Kind): number => (kind === "syscall" ? PTRACE.SYSCALL : PTRACE.CONT);
	const start: Stepping["start"] = (kind) => void batch.call("ptrace", requestFor(kind), tid, 0, 0);
	const arrive: Stepping["arrive"] = (kind) => {
		const [wait, here, stopped, on, arrived] = [
			label("wait"),
			label("here"),
			label("stopped"),
			label("on"),
			label(kind),
		];
		const [mask, wanted] = stops[kind];
		batch.mark(wait);
		// for any: the kernel tells of a leader's death only when all its other threads, which died with it, are reaped
		batch.callInto(who, "wait4", -1, status, WAIT.ALL, 0);
		batch.branch({ valueOf: who }, EVERY_BIT, tid, here);
		batch.branch({ valueOf: who }, SIGN, 0, wait);
		batch.jump(lost);
		batch.mark(here);
		batch.branch({ valueOf: status }, mask, wanted, arrived);
		batch.branch({ valueOf: status }, ...stops.any, stopped);
		batch.jump(lost);
		batch.mark(stopped);
		batch.branch({ valueOf: status }, ...stops.syscall, on);
		batch.branch({ valueOf: status }, ...stops.event, on);
		batch.call("ptrace", requestFor(kind), tid, 0, { valueOf: signal });
		batch.jump(wait);
		batch.mark(on);
		start(kind);
		batch.jump(wait);
		batch.mark(arrived);
	};
	const run: Stepping["run"] = (kind) => {
		start(kind);
		arrive(kind);
	};
	return {
		run,
		start,
		arrive,
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
