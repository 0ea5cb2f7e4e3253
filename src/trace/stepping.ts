import type { Performed } from "../agent/agent.ts";
import { type Errand, EVERY_BIT, label, type Spot } from "../agent/batch.ts";
import { plus } from "../bytes/address.ts";
import { refuse } from "../errors.ts";
import { PTRACE, PTRACE_EVENT_STOP } from "../linux/ptrace.ts";
import { SIGTRAP } from "../linux/signal.ts";
import { WAIT, waitStatus } from "../linux/wait.ts";
import { lostThread } from "./lost-thread.ts";

/** How far a thread came. */
export interface Trodden {
	/** Which thread was seen last; another number where it was lost. */
	readonly who: Spot;
	/** Of its last stop. */
	readonly status: Spot;
}

/** @throws NecromancerError ERR_PROCESS when it has died, ERR_HOST when it was taken from us. */
export function requireStanding(done: Performed, { who, status }: Trodden, tid: number): void {
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

export interface Walk {
	/**
	 * Lets the thread run to its next stop of a kind. What comes between is dealt with as if nobody looked: a signal (with all
	 * others blocked, SIGSTOP) is delivered, and a stop that job control has in store passed over, as it comes again when the
	 * thread is let go.
	 */
	run(kind: "syscall" | "event"): void;
	/** On to a stop of PTRACE_INTERRUPT, without an instruction of the thread's own. */
	stop(): void;
	/** Where it is lost, the errand goes on here. */
	end(): Trodden;
}

/** The way of a stopped thread through an errand; several may follow one another. */
export function walkOf(errand: Errand, tid: number): Walk {
	const [who, status] = [errand.space(8), errand.space(16)];
	const lost = label("lost");
	/** A signal that is about to be delivered: the second byte and what is above it. */
	const signal = { at: plus(status.at, 1n), size: 8 };
	const run: Walk["run"] = (kind) => {
		const request = kind === "syscall" ? PTRACE.SYSCALL : PTRACE.CONT;
		const [on, wait, here, stopped, arrived] = [
			label("on"),
			label("wait"),
			label("here"),
			label("stopped"),
			label(kind),
		];
		errand.mark(on);
		errand.call("ptrace", request, tid, 0, 0);
		errand.mark(wait);
		errand.callInto(who, "wait4", tid, status, WAIT.ALL, 0);
		errand.branch({ valueOf: who }, EVERY_BIT, tid, here);
		errand.jump(lost);
		errand.mark(here);
		errand.branch({ valueOf: status }, ...stops.any, stopped);
		errand.jump(lost);
		errand.mark(stopped);
		const [mask, wanted] = stops[kind];
		errand.branch({ valueOf: status }, mask, wanted, arrived);
		errand.branch({ valueOf: status }, ...stops.syscall, on);
		errand.branch({ valueOf: status }, ...stops.event, on);
		errand.call("ptrace", request, tid, 0, { valueOf: signal });
		errand.jump(wait);
		errand.mark(arrived);
	};
	return {
		run,
		stop: () => {
			errand.call("ptrace", PTRACE.INTERRUPT, tid, 0, 0);
			run("event");
		},
		end: () => {
			errand.mark(lost);
			return { who, status };
		},
	};
}
