import { describe, expect, it } from "vitest";
import type { PidFacts } from "../../../src/host/pids.ts";
import { chooseIds } from "../../../src/restore/ids.ts";
import { requireNoFirst } from "../../../src/restore/requirements.ts";
import { taskOfThreads, threadOf } from "../../support/builders/thread-task.ts";
import { refusal } from "../../support/refusal.ts";

const able: PidFacts = { taken: [], pidMax: 32768, chosen: true, namespace: true };
const choose = (tids: readonly number[], sight: Partial<PidFacts> = {}): string =>
	chooseIds(taskOfThreads(tids.map((tid) => threadOf(tid))), { ...able, ...sight });

describe("chooseIds", () => {
	it("takes the same ids where they can be had", () => {
		expect(choose([5739, 5741])).toBe("same");
		expect(choose([5739], { namespace: false })).toBe("same");
		const { namespace: _, ...untried } = able;
		expect(chooseIds(taskOfThreads([threadOf(5739)]), untried)).toBe("same");
	});

	it.each([
		["taken", [5739, 5741], { taken: [5741] }],
		["too high", [5739, 32768], {}],
		["not to be chosen", [5739], { chosen: false }],
	])("goes to a namespace where one is %s, and else takes new ones", (_, tids, sight) => {
		expect(choose(tids, sight)).toBe("namespace");
		expect(choose(tids, { ...sight, namespace: false })).toBe("fresh");
	});

	it("takes new ones for what no namespace has for others", () => {
		expect(choose([1, 7])).toBe("fresh");
		expect(choose([7, 1 << 22])).toBe("fresh");
		expect(choose([0])).toBe("fresh");
	});
});

describe("a namespace", () => {
	it("does not have its first id to give", () => {
		expect(refusal(() => requireNoFirst([7, 1]))).toBe(
			"ERR_PID_TAKEN pid 1: is that of the first process of every pid namespace, which signals do not reach as they reach others, expected another; restore with new ids with --fresh-ids",
		);
		expect(() => requireNoFirst([7])).not.toThrow();
	});
});
