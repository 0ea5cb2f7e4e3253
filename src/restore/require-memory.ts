import { refuse } from "../errors.ts";
import type { Task } from "../task/task.ts";

/**
 * Refuses images that hold no memory of the process: zeros would be where its stacks and data were. A living process has
 * written a page at the least, so such images are a donor (dump --no-pages).
 *
 * @param images their directory.
 * @throws NecromancerError ERR_IMAGE_MISSING
 */
export function requireMemory({ identity, memory }: Task, images: string): void {
	if (memory.contents.length > 0) return;
	refuse("ERR_IMAGE_MISSING", {
		subject: images,
		finding: `holds no memory of process ${identity.pid}`,
		expectation: "expected more than a donor (dump --no-pages)",
		remedy:
			"give it the memory of a core first (necromancer -c CORE -i DIR), or raise that core with it (necromancer raise CORE -i DIR)",
	});
}
