import type { Opening } from "./steps.ts";

/** What is at hand when the process is whole, and about to go on. */
export interface Late extends Pick<Opening, "add" | "report"> {
	/**
	 * When a time that was so many nanoseconds away comes by a clock of the process, if that goes on as it was: nanoseconds.
	 * Absent where that is not known.
	 */
	expiryOf(clock: number, remaining: bigint): bigint | undefined;
}
