import type { MemfdDescription } from "../../forest/files.ts";
import { AT_FDCWD } from "../../linux/fcntl.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import type { Arg } from "../../program/args.ts";
import type { ArgsOf, CallName } from "../../program/calls.ts";
import { pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { StepOptions } from "../part.ts";
import { addStatusFlags } from "./fd-allocator.ts";
import { ownFile } from "./named.ts";
import { openFlags } from "./open-flags.ts";
import type { FdSlot } from "./slots.ts";

export interface MemfdSlot extends FdSlot {
	readonly content: MemfdDescription;
}

export const isMemfdSlot = (slot: FdSlot): slot is MemfdSlot => slot.content.kind === "memfd";

/**
 * Gives descriptors their numbers, ascending. A number below that nobody has is what the kernel gives first.
 *
 * @param taken the numbers of all other descriptors.
 * @param openAs where an object is open until the end, by its id.
 */
export function placeMemfds(
	slots: readonly MemfdSlot[],
	taken: Set<number>,
	openAs: (object: number) => number,
	{ draft }: Context,
): void {
	const leader = draft.leader;
	const add = <C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string, options?: StepOptions): void =>
		leader.add("protect", call, args, why, options);
	const firsts = new Map<string, number>();
	const original = new Set<number>();
	let lowest = 0;
	for (const { number, key, closeOnExec, content } of slots) {
		const { object, flags, position, name } = content;
		const closing = closeOnExec ? O.CLOEXEC : 0;
		const duplicate = (from: number, why: string): void =>
			add("dup3", [BigInt(from), BigInt(number), BigInt(closing)], why, { expect: { exactly: BigInt(number) } });
		const first = firsts.get(key);
		const from = openAs(object);
		while (taken.has(lowest)) lowest++;
		taken.add(number);
		firsts.set(key, first ?? number);
		if (first !== undefined) {
			duplicate(first, `${number} and ${first} are one`);
			continue;
		}
		const fd = BigInt(number);
		if ((flags & (O_ACCMODE | O.PATH)) === O.RDWR && !original.has(object)) {
			// the description that memfd_create(2) made: another one for writing would keep it from being executed
			original.add(object);
			duplicate(from, `memfd ${name}`);
			addStatusFlags({ add }, fd, 0, flags);
		} else {
			const how = openFlags(flags & ~O.NOFOLLOW) | (lowest === number ? closing : 0);
			const path = pathDatum(`memfd ${name} for ${number}`, ownFile(from));
			add("openat", [AT_FDCWD, path, BigInt(how)], `memfd ${name} opened once more`, {
				expect: { exactly: BigInt(lowest) },
			});
			if (lowest !== number) {
				duplicate(lowest, "to its number");
				add("close", [BigInt(lowest)], `${lowest} is free again`);
			}
		}
		if (position !== 0n && (flags & O.PATH) === 0)
			add("lseek", [fd, position, 0n], "where it was read or written last", { expect: { exactly: position } });
	}
}
