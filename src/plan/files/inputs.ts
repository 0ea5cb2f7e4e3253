import { F } from "../../linux/fcntl.ts";
import { FIRST_INPUT_FD } from "../../program/abi.ts";
import type { Task } from "../../task/task.ts";
import type { Context } from "../context.ts";
import { type Lent, sourcesOf } from "../inputs.ts";
import type { Part } from "../part.ts";

/** Moves the files that are open from the beginning out of the way of the numbers that the process will have. */
export function planInputs(task: Pick<Task, "memory" | "files">, { draft, firstWorkFd }: Context, lent: Lent): Part {
	const list = draft.leader;
	const first = firstWorkFd + 1;
	const all = [
		...sourcesOf(task).map(({ name }, i) => ({ name, number: FIRST_INPUT_FD + i })),
		...[...lent].map(([name, number]) => ({ name, number })),
	];
	for (const [i, { name, number }] of all.entries())
		list.add(
			"identity",
			"fcntl",
			[BigInt(number), BigInt(F.DUPFD_CLOEXEC), BigInt(first)],
			`${name.slice(name.lastIndexOf("/") + 1)}, which is open already, out of the way`,
			{ expect: { exactly: BigInt(first + i) } },
		);
	return draft.made();
}

/** When all bytes are in place and all files open. */
export function closeInputs({ draft, firstWorkFd, inputs: { count } }: Context): Part {
	const first = firstWorkFd + 1;
	if (count > 0)
		draft.leader.add(
			"directories",
			"close_range",
			[BigInt(first), BigInt(first + count - 1), 0n],
			"the files that its bytes came from",
		);
	return draft.made();
}
