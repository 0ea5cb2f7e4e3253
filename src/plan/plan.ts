import type { Address } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import type { Clocks } from "../linux/time.ts";
import type { Finding } from "../task/finding.ts";
import type { CallName } from "./calls.ts";

/**
 * How a dead process is made to live, as a pure value: lists of system calls with their arguments, what each must return,
 * and why it is there. Whoever carries it out decides nothing.
 */
export interface Plan {
	/** The process that the plan makes. */
	readonly pid: number;
	/** Leader first. */
	readonly tids: readonly number[];
	/** Free in the dead process's layout: the blob, the plan, its stacks and frames live here until the end. */
	readonly hole: Range;
	/** Memory that shows a file which is not its own, ascending: its bytes lie there. */
	readonly views: readonly Range[];
	/** What each runs: the leader first, then threads and fillers that others spawn by name. */
	readonly lists: readonly StepList[];
	/** Every datum the steps refer to, in order of declaration. */
	readonly data: readonly Datum[];
	/** `struct context` of blob.h: where failures are reported. Every spawned list gets it. */
	readonly context: Place;
	/** Where it tells and waits, until it lives: above all its own descriptors. */
	readonly reportFd: number;
	/** Where the ids appear that the kernel gives to the threads, by those that they had. */
	readonly newIds?: ReadonlyMap<number, Place>;
	/**
	 * What its clocks are to show when it asks for them, which it does where this is present: the answer is the text of
	 * /proc/PID/timens_offsets, of {@link timensOffsetsText}. Without a boottime that one is moved as far as the other.
	 */
	readonly clocks?: Pick<Clocks, "monotonic"> & Partial<Clocks>;
	/** What could not be planned as it was, with its consequence. */
	readonly findings: readonly Finding[];
}

export interface StepList {
	/** `leader`, `thread 5741`, `filler 2`. */
	readonly name: string;
	readonly steps: readonly Step[];
}

/** In the order in which they come, in every list. */
export const stages = [
	"identity",
	"files",
	"clear",
	"map",
	"fill",
	"protect",
	"vdso",
	"bounds",
	"clocks",
	"directories",
	"inspection",
	"signals",
	"threads",
	"timers",
	"credentials",
	"leave",
] as const;

export type Stage = (typeof stages)[number];

export interface Step {
	readonly stage: Stage;
	readonly call: CallName;
	/** At most six. */
	readonly args: readonly Arg[];
	readonly expect: Expect;
	/** Receives the result as 64 bits. */
	readonly save?: Place;
	/** For people: what it does for the process, in a few words. */
	readonly why: string;
}

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
