import type { Finding } from "../finding.ts";
import { F, FD_CLOEXEC, SETTABLE_FLAGS } from "../linux/fcntl.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { Arg, Place } from "../program/args.ts";
import type { ArgsOf, CallName } from "../program/calls.ts";
import type { StepOptions } from "../program/program.ts";
import type { OpenInputs } from "./inputs.ts";

/** One descriptor to be. Slots with equal keys share one description. */
export interface Slot<D> {
	readonly number: number;
	readonly closeOnExec: boolean;
	readonly key: string;
	readonly content: D;
	/** Its file is named by whoever calls us. */
	readonly byCaller?: boolean;
}

/** Appends a step. `expect` is "success" unless said otherwise. */
export type AddStep = <C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string, options?: StepOptions) => void;

/** As whom the steps that follow are made. */
export interface Actor {
	/** @param keeping capabilities that he has for the moment, bit n for capability n. */
	asUser(keeping?: bigint): void;
	asCaller(): void;
}

/** What the process has at hand while it opens its descriptors. */
export interface Opening {
	readonly add: AddStep;
	readonly report: (finding: Finding) => void;
	readonly actor: Actor;
	/** By the numbers that they have in the process. */
	readonly inputs: OpenInputs;
	/** The ids of its user. */
	readonly user: { readonly uid: number; readonly gid: number };
}

/**
 * The table of descriptors in the making. It starts empty and goes through the numbers in ascending order, and the kernel always
 * gives the lowest free number; so it is known beforehand which number every call returns, and most land where they belong. All
 * numbers below the present one are as they will be at the end; all above it are free, but where an input waits for its turn.
 */
export interface FdAllocator extends Opening {
	/** The id that the process had. */
	readonly pid: number;
	/** The number that the next (0) or second next (1) new descriptor gets. */
	nextFree(after?: 0 | 1): number;
	/** A call that makes a descriptor; its number. */
	open<C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string): number;
	/** Moves a descriptor out of the way, for the slot with that key; it is closed when all are made. */
	setAside(number: number, name: string, key: string): void;
	/** What was set aside for a slot. */
	asideFor(key: string): Place | undefined;
	/** Gives the present number to what landed on another, and frees that. */
	moveTo(landed: number, number: number, closeOnExec: boolean): void;
}

/** A descriptor of its own for a slot whose turn it is. @param args of the call, given O_CLOEXEC or 0 */
export function addNew<C extends CallName>(
	fds: FdAllocator,
	{ number, closeOnExec }: Slot<unknown>,
	call: C,
	args: (closing: number) => ArgsOf<C, Arg>,
	why: string,
): void {
	const closing = closeOnExec && fds.nextFree() === number ? O.CLOEXEC : 0;
	fds.moveTo(fds.open(call, args(closing), why), number, closeOnExec);
}

/** Makes `number` refer to the same description as `from`. */
export function addDuplicate(
	{ add }: Pick<Opening, "add">,
	from: Arg,
	number: number,
	closeOnExec: boolean,
	why: string,
): void {
	const flags = closeOnExec ? BigInt(O.CLOEXEC) : 0n;
	add("dup3", [from, BigInt(number), flags], why, { expect: { exactly: BigInt(number) } });
}

/** Sets what F_SETFL can set of a description that was opened with the flags `have`. */
export function addStatusFlags({ add }: Pick<Opening, "add">, fd: Arg, have: number, want: number): void {
	// O_ASYNC waits until the process is whole
	const mask = SETTABLE_FLAGS & ~O.ASYNC;
	if (((have ^ want) & mask) === 0) return;
	add("fcntl", [fd, BigInt(F.SETFL), BigInt(want & mask)], "its flags");
}

/** For what could not be opened with its FD_CLOEXEC. */
export function addCloseOnExec({ add }: Pick<Opening, "add">, number: number): void {
	add("fcntl", [BigInt(number), BigInt(F.SETFD), BigInt(FD_CLOEXEC)], `${number} is closed on exec`);
}

/** Flags that a description keeps for its whole life; the rest is only for the moment of opening it. */
const KEPT =
	O_ACCMODE | O.APPEND | O.NONBLOCK | O.SYNC | O.DIRECT | O.LARGEFILE | O.DIRECTORY | O.NOFOLLOW | O.NOATIME | O.PATH;

/** How a description of these flags is opened anew: nothing is created or cut, no terminal taken. */
export function openFlags(flags: number): number {
	// a file that was made with O_TMPFILE and linked later is no directory, though the flag contains that one
	const unlinked = (flags & O.TMPFILE) === O.TMPFILE ? O.DIRECTORY : 0;
	return (flags & KEPT & ~unlinked) | O.NOCTTY;
}
