import type { Arg } from "../program/args.ts";
import type { Opening, Slot } from "./steps.ts";

/** What is at hand when the process is whole, and about to go on. */
export interface Late extends Pick<Opening, "add" | "report"> {
	/**
	 * When a time that was so many nanoseconds away comes by a clock of the process, if that goes on as it was: nanoseconds.
	 * Absent where that is not known.
	 */
	expiryOf(clock: number, remaining: bigint): bigint | undefined;
	/** A process's id, by that which it had. */
	idOf(pid: number): Arg;
	/** All descriptors of the process that share the description. */
	readonly numbers: readonly Pick<Slot<unknown>, "number" | "closeOnExec">[];
}
