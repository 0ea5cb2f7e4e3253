import { viewOf } from "../bytes/layout.ts";
import { SIGSET_BYTES } from "../linux/sigaction.ts";
import { SIGCHLD } from "../linux/signal.ts";
import { timespec } from "../linux/time.ts";
import type { Errand } from "./batch.ts";

/** Nanoseconds. */
const MOMENT = 50_000_000n;

/**
 * Adds a sleep until a child, or one that is traced, has something to tell, and no longer than a moment: should it have been
 * told before, or never be, an agent still sees when its socket ends. It has SIGCHLD blocked, as all signals.
 */
export function addMoment(errand: Errand): void {
	const children = new Uint8Array(Number(SIGSET_BYTES));
	viewOf(children).setBigUint64(0, 1n << BigInt(SIGCHLD - 1), true);
	const time = timespec.encode({ tv_sec: 0n, tv_nsec: MOMENT });
	errand.call("rt_sigtimedwait", errand.put(children), 0, errand.put(time), SIGSET_BYTES);
}
