import type { Finding } from "../finding.ts";
import { O } from "../linux/open.ts";
import type { DescriptionCommon } from "./description.ts";

/** What a descriptor must have been, as far as a core proves it. */
export interface Guess<What> {
	readonly number: number;
	readonly what: What;
	/** O_NONBLOCK or 0. */
	readonly flags: number;
	readonly closeOnExec: boolean;
	/** What proves it, in words. */
	readonly why: string;
	/** A thread waits for it without a timeout. */
	readonly awaited?: boolean;
	/** It was open once, and may have been closed since. */
	readonly past?: true;
	/** The kind is what is most likely, not what is proved. */
	readonly guessed?: boolean;
}

/** What takes the place of a descriptor of which no more is known than that, and what is said of it. */
export interface StandIn<D extends DescriptionCommon> {
	readonly description: D;
	readonly finding: Finding;
}

/** Its number is its id. */
export const commonOfGuess = ({ number, flags }: Guess<unknown>): DescriptionCommon => ({
	id: number,
	flags: flags | O.RDWR,
});

export const subjectOf = ({ number }: Guess<unknown>): string => `descriptor ${number}`;
