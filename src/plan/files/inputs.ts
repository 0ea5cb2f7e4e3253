import { F } from "../../linux/fcntl.ts";
import type { Task } from "../../task/task.ts";
import type { Context } from "../context.ts";
import type { Part } from "../part.ts";

/** Moves the files that are open from the beginning out of the way of the numbers that the process will have. */
export function planInputs(_: Task, { draft, firstWorkFd, inputs }: Context): Part {
	for (const { name, number, agent } of inputs.all)
		draft.leader.add(
			"identity",
			"fcntl",
			[{ input: { name, number: agent } }, BigInt(F.DUPFD_CLOEXEC), BigInt(firstWorkFd + 1)],
			`${name}, which is open already, out of the way`,
			{ expect: { exactly: BigInt(number) } },
		);
	return draft.made();
}

/** When all bytes are in place and all files open. */
export function closeInputs({ draft, firstWorkFd, inputs }: Context): Part {
	const first = firstWorkFd + 1;
	if (inputs.all.length > 0)
		draft.leader.add(
			"directories",
			"close_range",
			[BigInt(first), BigInt(first + inputs.all.length - 1), 0n],
			"the files that it was made of",
		);
	return draft.made();
}
