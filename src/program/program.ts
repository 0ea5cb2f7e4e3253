import type { Address } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import type { Arg, Datum, Place } from "./args.ts";
import type { CallName } from "./calls.ts";

export type Expect =
	| "anything"
	/** No error. */
	| "success"
	| { readonly exactly: bigint }
	/** No error, or this errno (positive). */
	| { readonly successOr: number }
	/** Called again until it fails. */
	| "until-error";

/** What is said of a step besides its call. */
export interface StepOptions {
	readonly expect?: Expect;
	/** {@link Step.save} */
	readonly save?: Place;
}

/** Addresses that a plan needs before anything is encoded: where in the hole what lies. */
export interface Placement {
	readonly blob: Address;
	readonly addressOf: (place: Place) => Address;
}

export interface Step {
	/** The part of a program that it is in, for messages. */
	readonly stage?: string;
	readonly call: CallName;
	/** At most six. */
	readonly args: readonly Arg[];
	readonly expect: Expect;
	/** Receives the result as 64 bits. */
	readonly save?: Place;
	/** For people: what it does for the process, in a few words. */
	readonly why: string;
}

/** What one task runs, from its first step to its last. */
export interface StepList<S extends Step = Step> {
	/** `leader`, `thread 5741`, `filler 2`. */
	readonly name: string;
	readonly steps: readonly S[];
}

/** Lists for the tasks of one address space, and the memory that they refer to. */
export interface Program<S extends Step = Step> {
	/** The process that runs it. */
	readonly pid: number;
	/** Free in its layout: the blob and the program live here. */
	readonly hole: Range;
	/** The first list is where it begins; the others are spawned by name. */
	readonly lists: readonly StepList<S>[];
	/** Every datum the steps refer to. */
	readonly data: readonly Datum[];
	/** `struct context` of blob.h: where failures are reported. Every spawned list gets it. */
	readonly context: Place;
}
