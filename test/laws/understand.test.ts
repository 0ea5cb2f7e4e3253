import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { readCore } from "../../src/core/core.ts";
import { NecromancerError } from "../../src/errors.ts";
import { taskFromCore } from "../../src/understand/from-core/from-core.ts";
import type { Understood } from "../../src/understand/understand.ts";
import { buildCore } from "../support/builders/core-builder.ts";
import { asleepIn, poke, withGlibc, withMusl, words } from "../support/builders/deduced-core.ts";
import { deadCore, deadPlaces } from "../support/builders/pair.ts";
import { understoodAlone } from "../support/builders/understood.ts";
import { withLoop } from "../support/builders/uv-loop.ts";

// A core is hostile until proven otherwise: whatever its registers and its memory say, it is refused or becomes a process.

const { heap } = deadPlaces;
const three = deadCore({ tids: [500, 501, 502] });
const cores = [
	withGlibc(three),
	withMusl(three),
	withLoop(withGlibc(three), { at: heap + 0x1100n, backend: 3, signals: [6, 7] }),
];
const bytes = cores.map(buildCore);

const orRefused = (core: Uint8Array): Understood | undefined => {
	try {
		return understoodAlone(taskFromCore(readCore(fromBuffer("core", core))), { modeOf: () => 0 });
	} catch (error) {
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
};

/** What every process has. */
function expectWhole({ task }: Understood): void {
	const numbers = task.files.descriptors.map(({ number }) => number);
	expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
	for (const number of [0, 1, 2]) expect(numbers).toContain(number);
	for (const { start, end } of task.memory.mappings) expect(start < end).toBe(true);
	const { startBrk, brk, argStart, argEnd, envStart, envEnd } = task.memory.bounds;
	expect(startBrk <= brk && argStart <= argEnd && envStart <= envEnd).toBe(true);
	expect(task.threads.length).toBeGreaterThan(0);
}

/** Words that mean something somewhere, and any others. */
const word = fc.oneof(
	fc.constantFrom(0n, 1n, 8n, heap, heap + 0x1100n, (1n << 47n) - 4096n, (1n << 64n) - 1n, (1n << 63n) - 8n),
	fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

test("a core with other words in it is refused or becomes a process", () => {
	const change = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), word);
	fc.assert(
		fc.property(fc.nat(bytes.length - 1), fc.array(change, { minLength: 1, maxLength: 30 }), (which, changes) => {
			const core = Buffer.from(bytes[which] ?? []);
			for (const [at, value] of changes) core.writeBigUInt64LE(value, Math.floor(at * (core.length / 8)) * 8);
			const found = orRefused(core);
			if (found !== undefined) expectWhole(found);
		}),
		{ numRuns: 200 },
	);
});

test("a thread may be in any call with any arguments, over any memory", () => {
	const call = fc.constantFrom(0, 1, 7, 19, 20, 23, 43, 45, 202, 232, 270, 271, 281, 441);
	fc.assert(
		fc.property(
			call,
			fc.array(word, { minLength: 4, maxLength: 4 }),
			fc.array(word, { maxLength: 64 }),
			(nr, args, memory) => {
				const core = poke(asleepIn(withGlibc(three), 501, nr, ...args), heap, words(...memory));
				const found = orRefused(buildCore(core));
				if (found !== undefined) expectWhole(found);
			},
		),
		{ numRuns: 200 },
	);
});
