import { addDuplicate, type FdAllocator, type Opening } from "../../descriptors/steps.ts";
import { F } from "../../linux/fcntl.ts";
import type { Place } from "../../program/args.ts";
import { cellDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { actorAt } from "../opener.ts";

/** The table of the process, in the making. */
export interface FdTable extends FdAllocator {
	/** Goes on to a number higher than all before. */
	goTo(number: number): void;
}

const MOST_HOLES = 2;

/** What the process does in the stage in which it opens files. */
export const openingOf = ({ draft, inputs, actor, opener }: Context): Opening => ({
	add: (call, args, why, options) => draft.leader.add("files", call, args, why, options),
	report: draft.report,
	actor: actorAt(actor, "files"),
	inputs,
	user: opener.user,
});

/** @param pid the id that the process had. */
export function fdTable(context: Context, pid: number): FdTable {
	const opening = openingOf(context);
	const { add } = opening;
	const holes: number[] = [];
	const aside = new Map<string, Place>();
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
	const fds: FdTable = {
		...opening,
		pid,
		goTo: (number) => {
			// the first of them are enough: nothing takes more at a time
			for (; next < number && holes.length < MOST_HOLES; next++) holes.push(next);
			present = number;
			next = number + 1;
		},
		nextFree: (after = 0) => holes[after] ?? freeFrom(after - holes.length),
		open: (call, args, why) => {
			const number = fds.nextFree();
			add(call, args, why, { expect: { exactly: BigInt(number) } });
			return number;
		},
		setAside: (number, name, key) => {
			const save = cellDatum(name);
			const lowest = BigInt(context.firstSpareFd);
			add("fcntl", [BigInt(number), BigInt(F.DUPFD_CLOEXEC), lowest], `${name}, out of the way`, { save });
			add("close", [BigInt(number)], `${number} is needed for others`);
			aside.set(key, save);
		},
		asideFor: (key) => aside.get(key),
		moveTo: (landed, number, closeOnExec) => {
			if (landed === number) return;
			addDuplicate(fds, BigInt(landed), number, closeOnExec, "to its number");
			add("close", [BigInt(landed)], `${landed} is free again`);
		},
	};
	return fds;
}
