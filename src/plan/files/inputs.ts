import type { Task } from "../../forest/task.ts";
import { F } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";
import { movesOf } from "./place-inputs.ts";

/** Moves the files that are open from the beginning out of the way of the numbers that the process will have. */
export function planInputs(_: Task, { draft, firstWorkFd, firstSpareFd, inputs }: Context): Part {
	for (const { name, number, agent } of inputs.all)
		draft.leader.add(
			"identity",
			"fcntl",
			[{ input: { name, number: agent } }, BigInt(F.DUPFD_CLOEXEC), BigInt(firstWorkFd + 1)],
			`${name}, which is open already, out of the way`,
			{ expect: { exactly: BigInt(number) } },
		);
	for (const { name, from, to } of movesOf(inputs.placed, firstSpareFd))
		draft.leader.add(
			"identity",
			"dup3",
			[{ input: { name, number: from } }, BigInt(to), BigInt(O.CLOEXEC)],
			`${name} waits under its number`,
			{ expect: { exactly: BigInt(to) } },
		);
	return draft.made();
}

/** When all bytes are in place and all files open. */
export function closeInputs({ draft, firstWorkFd, firstSpareFd }: Context): Part {
	const first = firstWorkFd + 1;
	if (first < firstSpareFd)
		draft.leader.add(
			"directories",
			"close_range",
			[BigInt(first), BigInt(firstSpareFd - 1), 0n],
			"the files that it was made of",
		);
	return draft.made();
}
