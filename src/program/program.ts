import type { Address } from "../bytes/address.ts";
import type { CallName } from "./calls.ts";

export type Arg =
	| bigint
	/** The address of a datum, or of a byte in it. */
	| Place
	/** The 64-bit value that an earlier step saved there. */
	| { readonly valueOf: Place }
	/** The first step of a list, for `spawn`. */
	| { readonly list: string };

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
