import { i32Bytes } from "../bytes/layout.ts";
import { cloneArgs } from "../linux/sched.ts";
import type { Place } from "../program/args.ts";
import { bytesDatum, spaceDatum } from "../program/data.ts";

/** The blob needs a few hundred bytes of it. */
const STACK_SIZE = 4096;

/** A thread or a process to be. */
export interface Newcomer {
	/** For people, such as `thread 7`. */
	readonly name: string;
	/** CLONE_ flags. */
	readonly flags: number;
	/** What its parent gets at its end; none for a thread. */
	readonly exitSignal?: number;
	/** The id that it is given; the kernel chooses one where absent. */
	readonly tid?: number;
	/** Its id is written here at its start (CLONE_PARENT_SETTID), and 0 at its end (CLONE_CHILD_CLEARTID). */
	readonly running?: Place;
	/** Where its pidfd is written (CLONE_PIDFD). */
	readonly pidfd?: Place;
	/** Bytes; 4096 unless said otherwise. */
	readonly stackSize?: number;
}

/** The struct clone_args that it is made by (clone3(2)), with a stack of its own until it leaves for that which it had. */
export function cloneArgsOf({
	name,
	flags,
	exitSignal = 0,
	tid,
	running,
	pidfd,
	stackSize = STACK_SIZE,
}: Newcomer): Place {
	const args = cloneArgs.encode({
		...{ flags: BigInt(flags), pidfd: 0n, child_tid: 0n, parent_tid: 0n, exit_signal: BigInt(exitSignal), stack: 0n },
		...{ stack_size: BigInt(stackSize), tls: 0n, set_tid: 0n, set_tid_size: tid === undefined ? 0n : 1n, cgroup: 0n },
	});
	const points = (field: "pidfd" | "child_tid" | "parent_tid" | "stack" | "set_tid", to: Place) => ({
		at: cloneArgs.offsetOf(field),
		to,
	});
	return bytesDatum(`clone_args of ${name}`, args, {
		pointers: [
			...(running === undefined ? [] : [points("child_tid", running), points("parent_tid", running)]),
			...(pidfd === undefined ? [] : [points("pidfd", pidfd)]),
			points("stack", spaceDatum(`stack of ${name}`, stackSize)),
			...(tid === undefined ? [] : [points("set_tid", bytesDatum(`id of ${name}`, i32Bytes(tid), { align: 4 }))]),
		],
	});
}
