import { F, FD_CLOEXEC, SETTABLE_FLAGS } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import type { Arg, Place } from "../../program/args.ts";
import type { ArgsOf, CallName } from "../../program/calls.ts";
import { cellDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { StepOptions } from "../part.ts";
import type { FdSlot } from "./slots.ts";

/**
 * Where descriptors are made. It starts with an empty table and goes through the numbers in ascending order, and the
 * kernel always gives the lowest free number; so it is known beforehand which number every call returns, and most land
 * where they belong. All numbers below the present one are as they will be at the end; all above it are free, but where an input
 * waits for its turn.
 */
export interface FdAllocator {
	readonly context: Context;
	add<C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string, options?: StepOptions): void;
	/** Goes on to a number higher than all before. */
	goTo(number: number): void;
	/** The number that the next (0) or second next (1) new descriptor gets. */
	nextFree(after?: 0 | 1): number;
	/** A call that makes a descriptor; its number. */
	open<C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string): number;
	/** Moves a descriptor out of the way; it is closed when all are made. */
	setAside(number: number, name: string): Place;
	/** Gives the present number to what landed on another, and frees that. */
	moveTo(landed: number, number: number, closeOnExec: boolean): void;
}

const MOST_HOLES = 2;

export function fdAllocator(context: Context): FdAllocator {
	const list = context.draft.leader;
	const holes: number[] = [];
	let present = 0;
	let next = 0;
	const taken = new Set(context.inputs.placed.map(({ number }) => number));
	/** Behind which nothing but what waits for its turn lies between it and `present`. */
	let ahead = 0;
	const freeFrom = (skip: number): number => {
		ahead = Math.max(ahead, present);
		while (taken.has(ahead)) ahead++;
		let number = ahead;
		for (let left = skip; left > 0; left--) for (number++; taken.has(number); ) number++;
		return number;
	};
	const fds: FdAllocator = {
		context,
		add: (call, args, why, options) => list.add("files", call, args, why, options),
		goTo: (number) => {
			// the first of them are enough: nothing takes more at a time
			for (; next < number && holes.length < MOST_HOLES; next++) holes.push(next);
			present = number;
			next = number + 1;
		},
		nextFree: (after = 0) => holes[after] ?? freeFrom(after - holes.length),
		open: (call, args, why) => {
			const number = fds.nextFree();
			fds.add(call, args, why, { expect: { exactly: BigInt(number) } });
			return number;
		},
		setAside: (number, name) => {
			const save = cellDatum(name);
			const lowest = BigInt(context.firstSpareFd);
			fds.add("fcntl", [BigInt(number), BigInt(F.DUPFD_CLOEXEC), lowest], `${name}, out of the way`, { save });
			fds.add("close", [BigInt(number)], `${number} is needed for others`);
			return save;
		},
		moveTo: (landed, number, closeOnExec) => {
			if (landed === number) return;
			addDuplicate(fds, BigInt(landed), number, closeOnExec, "to its number");
			fds.add("close", [BigInt(landed)], `${landed} is free again`);
		},
	};
	return fds;
}

/** A descriptor of its own for a slot whose turn it is. @param args of the call, given O_CLOEXEC or 0 */
export function addNew<C extends CallName>(
	fds: FdAllocator,
	{ number, closeOnExec }: FdSlot,
	call: C,
	args: (closing: number) => ArgsOf<C, Arg>,
	why: string,
): void {
	const closing = closeOnExec && fds.nextFree() === number ? O.CLOEXEC : 0;
	fds.moveTo(fds.open(call, args(closing), why), number, closeOnExec);
}

/** Makes `number` refer to the same description as `from`. */
export function addDuplicate(fds: FdAllocator, from: Arg, number: number, closeOnExec: boolean, why: string): void {
	const flags = closeOnExec ? BigInt(O.CLOEXEC) : 0n;
	fds.add("dup3", [from, BigInt(number), flags], why, { expect: { exactly: BigInt(number) } });
}

/** Sets what F_SETFL can set of a description that was opened with the flags `have`. */
export function addStatusFlags(fds: Pick<FdAllocator, "add">, fd: Arg, have: number, want: number): void {
	// O_ASYNC waits until the process is whole
	const mask = SETTABLE_FLAGS & ~O.ASYNC;
	if (((have ^ want) & mask) === 0) return;
	fds.add("fcntl", [fd, BigInt(F.SETFL), BigInt(want & mask)], "its flags");
}

/** For what could not be opened with its FD_CLOEXEC. */
export function addCloseOnExec(fds: FdAllocator, number: number): void {
	fds.add("fcntl", [BigInt(number), BigInt(F.SETFD), BigInt(FD_CLOEXEC)], `${number} is closed on exec`);
}
