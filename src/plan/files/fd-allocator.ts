import { F, FD_CLOEXEC, SETTABLE_FLAGS } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import type { CallName } from "../../program/calls.ts";
import type { Arg, Place } from "../../program/program.ts";
import type { Circumstances } from "../context.ts";
import type { StepOptions } from "../draft.ts";
import type { Slot } from "./slots.ts";

/**
 * Where descriptors are made. It starts with an empty table and goes through the numbers in ascending order, and the
 * kernel always gives the lowest free number; so it is known beforehand which number every call returns, and most land
 * where they belong. All numbers below the present one are as they will be at the end, all above it are free.
 */
export interface Desk {
	readonly around: Circumstances;
	add(call: CallName, args: readonly Arg[], why: string, options?: StepOptions): void;
	/** Goes on to a number higher than all before. */
	reach(number: number): void;
	/** The number that the next (0), second next (1) or third next (2) new descriptor gets. */
	landing(after?: 0 | 1 | 2): number;
	/** A call that makes a descriptor while `after` others are in passing; its number. */
	open(call: CallName, args: readonly Arg[], why: string, after?: 0 | 1 | 2): number;
	/** Moves a descriptor out of the way; it is closed when all are made. */
	park(number: number, name: string): Place;
	/** Gives the present number to what landed on another, and frees that. */
	settle(landed: number, number: number, closeOnExec: boolean): void;
}

const MOST_HOLES = 3;

export function deskOf(around: Circumstances): Desk {
	const list = around.draft.list("leader");
	const holes: number[] = [];
	let present = 0;
	let next = 0;
	const desk: Desk = {
		around,
		add: (call, args, why, options) => list.add("files", call, args, why, options),
		reach: (number) => {
			// the first of them are enough: nothing takes more at a time
			for (; next < number && holes.length < MOST_HOLES; next++) holes.push(next);
			present = number;
			next = number + 1;
		},
		landing: (after = 0) => holes[after] ?? present + after - holes.length,
		open: (call, args, why, after) => {
			const number = desk.landing(after);
			desk.add(call, args, why, { expect: { exactly: BigInt(number) } });
			return number;
		},
		park: (number, name) => {
			const save = around.draft.cell(name);
			const lowest = BigInt(around.firstSpareFd);
			desk.add("fcntl", [BigInt(number), BigInt(F.DUPFD_CLOEXEC), lowest], `${name}, out of the way`, { save });
			desk.add("close", [BigInt(number)], `${number} is needed for others`);
			return save;
		},
		settle: (landed, number, closeOnExec) => {
			if (landed === number) return;
			addDuplicate(desk, BigInt(landed), number, closeOnExec, "to its number");
			desk.add("close", [BigInt(landed)], `${landed} is free again`);
		},
	};
	return desk;
}

/** A descriptor of its own for a slot whose turn it is. @param args of the call, given O_CLOEXEC or 0 */
export function addNew(
	desk: Desk,
	{ number, closeOnExec }: Slot,
	call: CallName,
	args: (closing: number) => readonly Arg[],
	why: string,
): void {
	const closing = closeOnExec && desk.landing() === number ? O.CLOEXEC : 0;
	desk.settle(desk.open(call, args(closing), why), number, closeOnExec);
}

/** Makes `number` refer to the same description as `from`. */
export function addDuplicate(desk: Desk, from: Arg, number: number, closeOnExec: boolean, why: string): void {
	const flags = closeOnExec ? BigInt(O.CLOEXEC) : 0n;
	desk.add("dup3", [from, BigInt(number), flags], why, { expect: { exactly: BigInt(number) } });
}

/** Sets what F_SETFL can set of a description that was opened with the flags `have`. */
export function addStatusFlags(desk: Pick<Desk, "add">, fd: Arg, have: number, want: number): void {
	// O_ASYNC waits until the process is whole
	const mask = SETTABLE_FLAGS & ~O.ASYNC;
	if (((have ^ want) & mask) === 0) return;
	desk.add("fcntl", [fd, BigInt(F.SETFL), BigInt(want & mask)], "its flags");
}

/** For what could not be opened with its FD_CLOEXEC. */
export function addCloseOnExec(desk: Desk, number: number): void {
	desk.add("fcntl", [BigInt(number), BigInt(F.SETFD), BigInt(FD_CLOEXEC)], `${number} is closed on exec`);
}
