import type { Task } from "../../forest/task.ts";
import type { Context } from "../context.ts";
import type { MadeInput } from "../inputs.ts";
import type { Part } from "../part.ts";
import { WORKSHOP_END } from "../plan.ts";
import { ghostDescriptions } from "./ghosts.ts";
import { pipeDescriptions } from "./pipes.ts";
import type { FilePolicy } from "./slots.ts";

/** All that the workshop makes for a process, in the order of its numbers. */
export const madeInWorkshop = (task: Task, policy: FilePolicy): readonly MadeInput[] => [
	...ghostDescriptions(task, policy),
	...pipeDescriptions(task, policy),
];

/** Once the process has all of it: a pipe ends with its last writer, and the room of a file without a name is free again. */
export function leaveWorkshop({ draft, inputs: { firstMade, behindAgent } }: Context): Part {
	if (firstMade < behindAgent)
		draft
			.list(WORKSHOP_END)
			.add(
				"workshop",
				"close_range",
				[BigInt(firstMade), BigInt(behindAgent - 1), 0n],
				"what was made is the process's alone",
			);
	return draft.made();
}
