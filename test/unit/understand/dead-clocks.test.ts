import { expect, test } from "vitest";
import { LATEST_CLOCK } from "../../../src/forest/clocks.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import { withDeadClocks, withGivenClock } from "../../../src/understand/dead-clocks.ts";
import { clockEvidence, wordMemory } from "../../support/builders/clock-memory.ts";
import { smallTask } from "../../support/builders/small-task.ts";

const SECOND = 1_000_000_000n;
const read = { monotonic: 5n * SECOND, boottime: 6n * SECOND, witness: "read" } as const;
const task = smallTask({ clocks: read });

test("what the user says goes before all else", () => {
	const dead = { memory: wordMemory([]), threads: [] } as unknown as PartialTask;
	const host = { monotonic: 70n * SECOND, boottime: 70n * SECOND };
	const { task: made, finding } = withDeadClocks(task, dead, {
		...{ evidence: clockEvidence(dead), places: [] },
		host,
		given: 9n * SECOND,
	});
	expect(made.clocks).toEqual({ monotonic: 9n * SECOND, witness: "given" });
	expect(finding).toMatchObject({ weight: "note", code: "clock", text: "goes on from 9.000 s, as was asked for" });
});

test("the host's clock can be asked for", () => {
	const { task: made, finding } = withGivenClock(task, "host");
	expect(made).not.toHaveProperty("clocks");
	expect(finding).toMatchObject({ weight: "note", text: "becomes that of this host" });
});

test("no clock goes further than the kernel's do", () => {
	expect(withGivenClock(task, LATEST_CLOCK + 1n).task.clocks?.monotonic).toBe(LATEST_CLOCK);
});
