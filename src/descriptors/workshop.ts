import type { Extent } from "../bytes/extent.ts";
import { F } from "../linux/fcntl.ts";
import type { Arg, Place } from "../program/args.ts";
import type { AddStep, Opening } from "./steps.ts";

/** What the agent has at hand where it makes descriptions before the process exists. Numbers are the agent's. */
export interface Workshop extends Opening {
	/** A number that nothing has, behind all that is made. */
	readonly behind: number;
	/** A process that has ended and been waited for, and where its pidfd lands. */
	makeEnded(what: string, pidfd: Place): void;
	/** Writes bytes into a descriptor. @param what of whom, for people. */
	copy(content: Extent, into: Arg, what: string): void;
}

/** Moves a descriptor that landed on any number of the agent's to one that is known, in the workshop. */
export function keepAs(add: AddStep, landed: Arg, number: number, what: string): void {
	const kept = BigInt(number);
	add("fcntl", [landed, BigInt(F.DUPFD_CLOEXEC), kept], `${what} is ${number}`, { expect: { exactly: kept } });
	add("close", [landed], `${what} is ${number}`);
}
