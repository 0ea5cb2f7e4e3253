import type { Forest } from "../forest/forest.ts";
import type { Task } from "../forest/task.ts";
import type { RightsFacts } from "./host-rights.ts";
import { type Opener, openerOf, personaOf } from "./opener.ts";

/** Processes whose files are opened as one user, with the same rights. */
export interface Persona {
	/** Tells it from the others; absent where there is one. */
	readonly whose?: string;
	readonly opener: Opener;
	/** Parents first. */
	readonly tasks: readonly Task[];
}

/** As whom the files of processes are opened, in the order of the first of each: what one may open is not another's. */
export function personasOf({ processes }: Pick<Forest, "processes">, facts: RightsFacts): readonly Persona[] {
	const found = new Map<string, { opener: Opener; tasks: Task[] }>();
	for (const task of processes) {
		const opener = openerOf(task, facts);
		const key = personaOf(opener);
		const known = found.get(key);
		if (known === undefined) found.set(key, { opener, tasks: [task] });
		else known.tasks.push(task);
	}
	return [...found].map(([whose, persona]) => (found.size === 1 ? persona : { whose, ...persona }));
}
