import { describe, expect, it, test } from "vitest";
import { type Address, address } from "../../../src/bytes/address.ts";
import { forestOf } from "../../../src/forest/forest.ts";
import type { Mapping, Task } from "../../../src/forest/task.ts";
import { requireMemory, requireRoomForMappings } from "../../../src/restore/requirements.ts";
import { smallTask } from "../../support/builders/small-task.ts";
import { refusal } from "../../support/refusal.ts";

test("images without any memory are no process, but a donor", () => {
	const task = smallTask();
	expect(task.memory.contents).not.toEqual([]);
	requireMemory(forestOf([task]), "dir");
	const donor = { ...task, memory: { ...task.memory, contents: [] } };
	expect(refusal(() => requireMemory(forestOf([donor]), "dir"))).toBe(
		`ERR_IMAGE_MISSING dir: holds no memory of process ${task.identity.pid}, expected more than a donor (dump --no-pages); give it the memory of a core first (necromancer -c CORE -i DIR), or raise that core with it (necromancer raise CORE -i DIR)`,
	);
});

const at = (page: number): Address => address(0x1000_0000n + BigInt(page) * 4096n);
const mapping = (from: number, to: number, kind: "anonymous" | "guard" = "anonymous"): Mapping => ({
	...{ start: at(from), end: at(to), prot: 3, shared: false, backing: { kind }, flags: 0, advice: 0n },
});
const task = (...mappings: readonly Mapping[]): Task => ({ ...TASK, memory: { ...TASK.memory, mappings } });
const TASK = smallTask();
const view = (from: number, to: number) => ({ start: at(from), end: at(to) });

describe("vm.max_map_count", () => {
	const two = task(mapping(0, 10), mapping(20, 30), mapping(22, 24, "guard"));

	it("has to have room for the mappings that the process had, guards aside", () => {
		expect(() => requireRoomForMappings(two, [], 2)).not.toThrow();
		expect(() => requireRoomForMappings(two, [], undefined)).not.toThrow();
		expect(() => requireRoomForMappings(two, [], 1)).toThrow(
			"vm.max_map_count: is 1, expected at least the 2 mappings that the process had; raise it: sysctl vm.max_map_count=128",
		);
	});

	it.each([
		["all of one", [view(0, 10)], 2],
		["its beginning", [view(0, 5)], 3],
		["its end", [view(5, 10)], 3],
		["its middle", [view(3, 7)], 4],
		["two parts with a gap", [view(0, 3), view(5, 10)], 4],
		["parts of both", [view(1, 2), view(4, 6), view(25, 30)], 7],
	])("and for the parts that views make of them: %s", (_, views, needed) => {
		expect(() => requireRoomForMappings(two, views, needed)).not.toThrow();
		if (needed > 2)
			expect(() => requireRoomForMappings(two, views, needed - 1)).toThrow(
				`is ${needed - 1}, expected at least ${needed}: the 2 mappings that the process had, some in parts (--lazy)`,
			);
	});
});
