import { viewOf } from "../bytes/layout.ts";
import { SIGCHLD, SIGSET_BYTES } from "../linux/signal.ts";
import { timespec } from "../linux/time.ts";
import type { SyscallBatch } from "./batch.ts";

/** Nanoseconds. */
const PAUSE = 50_000_000n;

/**
 * Adds a sleep until a child, or one that is traced, has something to tell, and no longer than a moment: should it have been
 * told before, or never be, an agent still sees when its socket ends. It has SIGCHLD blocked, as all signals.
 */
export function addPause(batch: SyscallBatch): void {
	const children = new Uint8Array(Number(SIGSET_BYTES));
	viewOf(children).setBigUint64(0, 1n << BigInt(SIGCHLD - 1), true);
	const time = timespec.encode({ tv_sec: 0n, tv_nsec: PAUSE });
	batch.call("rt_sigtimedwait", batch.put(children), 0, batch.put(time), SIGSET_BYTES);
}
