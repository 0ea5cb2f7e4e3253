import { kindOf } from "../descriptors/kinds.ts";
import { enteredGhosts } from "./files.ts";
import type { GhostFile, SharedObject, Task } from "./task.ts";

/**
 * A process with what it shows of things that are known by their ids: memory objects and files without a name, by mappings,
 * descriptors, the executable and its directories.
 */
export function withThingsShown(
	task: Task,
	{ objects, ghosts }: { readonly objects: readonly SharedObject[]; readonly ghosts: readonly GhostFile[] },
): Task {
	const { mappings, executableGhost } = task.memory;
	const shown = new Set<number>();
	const lost = new Set([...(executableGhost === undefined ? [] : [executableGhost]), ...enteredGhosts(task.files)]);
	for (const { backing } of mappings)
		if (backing.kind === "object") shown.add(backing.object);
		else if (backing.kind === "file" && backing.ghost !== undefined) lost.add(backing.ghost);
	for (const { description } of task.files.descriptors) {
		const shared = kindOf(description).shares?.(description);
		if (shared?.of === "objects") shown.add(shared.id);
		if (shared?.of === "ghosts") lost.add(shared.id);
	}
	const nameless = ghosts.filter(({ id }) => lost.has(id));
	return {
		...task,
		memory: {
			...task.memory,
			objects: objects.filter(({ id }) => shown.has(id)),
			...(nameless.length === 0 ? {} : { ghosts: nameless }),
		},
	};
}
