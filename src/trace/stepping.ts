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
	syscall: [0xff_ffff, ((SIGTRAP | 0x80) << 8) | 0x7f],
	/** Of PTRACE_INTERRUPT, or with the group. */
	event: [0xff_00ff, (PTRACE_EVENT_STOP << 16) | 0x7f],
} as const;

type Kind = "syscall" | "event";

export interface Stepping {
	/**
	 * Lets the thread run to its next stop of a kind. What comes between is dealt with as if nobody looked: a signal (with all
	 * others blocked, SIGSTOP) is delivered, and a stop that job control has in store passed over, as it comes again when the
	 * thread is let go.
	 */
	run(kind: Kind): void;
	/** The first half of that: the agent may do something else before it waits. */
	start(kind: Kind): void;
	/** The second half. */
	arrive(kind: Kind): void;
	/**
	 * On to a stop of PTRACE_INTERRUPT, without an instruction of the thread's own. It must stand: the request is forgotten at
	 * any other stop that it comes to first (task_clear_jobctl_pending in ptrace_stop, kernel/signal.c).
	 */
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
		batch.callInto(who, "wait4", tid, status, WAIT.ALL, 0);
		batch.branch({ valueOf: who }, EVERY_BIT, tid, here);
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
