import type { Address } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import type { CallName } from "./calls.ts";

/** An argument of a step, in terms of whatever names a place (P) and a list (L). */
export type ArgOf<P, L> =
	| bigint
	/** The address of a place. */
	| P
	/** The 64-bit value that an earlier step saved there. */
	| { readonly valueOf: P }
	/** The first step of a list, for `spawn`, or a step to go on at. */
	| { readonly list: L };

/** Of a program that gets its addresses when it is assembled. */
export type Arg = ArgOf<Place, string>;

export interface Place {
	readonly datum: Datum;
	/** Bytes into it. */
	readonly offset?: number;
}

/** Bytes in the plan's own memory. Identity matters: two data with equal bytes are two places. */
export interface Datum {
	/** For people: `path of the log`, `clone_args of thread 12`. */
	readonly name: string;
	/** Initial content; zeros follow up to `size`. */
	readonly bytes: Uint8Array;
	readonly size: number;
	/** A power of two. */
	readonly align: number;
	/** 64-bit pointers inside it that are filled in when addresses are known. */
	readonly pointers: readonly { readonly at: number; readonly to: Place }[];
}

export type Expect =
	| "anything"
	/** No error. */
	| "success"
	| { readonly exactly: bigint }
	/** No error, or this errno (positive). */
	| { readonly successOr: number }
	/** Called again until it fails. */
	| "until-error";

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
