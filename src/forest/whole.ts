import { enteredGhosts } from "./files.ts";
import type { Forest } from "./forest.ts";
import type { Task } from "./task.ts";

/** The process that the others come from. */
export function rootOf({ processes: [root] }: Pick<Forest, "processes">): Task {
	if (root === undefined) throw new RangeError("a forest of no process");
	return root;
}

/** All that the processes have, as if one had it: for those who make, open or count things for all of them. */
export function wholeOf(forest: Forest): Task {
	const { processes, shared } = forest;
	const root = rootOf(forest);
	if (processes.length === 1) return root;
	return {
		...root,
		threads: processes.flatMap(({ threads }) => threads),
		memory: {
			...root.memory,
			mappings: processes.flatMap(({ memory }) => memory.mappings),
			contents: processes.flatMap(({ memory }) => memory.contents),
			objects: [...shared.objects.values()].map(({ thing }) => thing),
			ghosts: [...shared.ghosts.values()].map(({ thing }) => thing),
		},
		files: {
			...root.files,
			descriptors: processes.flatMap(({ files }) => files.descriptors),
			otherGhosts: processes.slice(1).flatMap(({ files }) => enteredGhosts(files)),
		},
	};
}
