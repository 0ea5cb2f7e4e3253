import { expect, test } from "vitest";
import { requireMemory } from "../../../src/restore/require-memory.ts";
import { smallTask } from "../../support/builders/small-task.ts";
import { refusal } from "../../support/refusal.ts";

test("images without any memory are no process, but a donor", () => {
	const task = smallTask();
	expect(task.memory.contents).not.toEqual([]);
	requireMemory(task, "dir");
	const donor = { ...task, memory: { ...task.memory, contents: [] } };
	expect(refusal(() => requireMemory(donor, "dir"))).toBe(
		`ERR_IMAGE_MISSING dir: holds no memory of process ${task.identity.pid}, expected more than a donor (dump --no-pages); give it the memory of a core first (necromancer -c CORE -i DIR), or raise that core with it (necromancer raise CORE -i DIR)`,
	);
});
