import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Address, address, type FileOffset, fileOffset } from "../../src/bytes/address.ts";
import type { Placed } from "../../src/bytes/extent.ts";
import { lengthOf } from "../../src/bytes/range.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import type { Mapping, SharedObject, Task } from "../../src/forest/task.ts";
import { chooseHole, reserver, type Taken } from "../../src/plan/hole.ts";
import {
	anonymous,
	executed,
	expectedAreas,
	expectedPage,
	inFile,
	inObject,
	mapping,
	PAGE,
	PAGES,
	pagesFile,
	taskOf,
} from "../support/builders/memory-task.ts";
import { joinAreas, type ModelArea } from "../support/models/model-memory.ts";

const LIB = "/lib/libm.so";
const LOG = "/var/log/shared";
const files = new Map([
	[LIB, pagesFile(16, 1)],
	[LOG, pagesFile(16, 2)],
]);
const PAGES_HELD = 4096;
const pagesImage = pagesFile(PAGES_HELD, 3);
const source = fromBuffer(PAGES, pagesImage);

/** One mapping to come: its kind, size, distance from the one before, and what is in it. */
interface Sketch {
	readonly kind: "anonymous" | "file" | "shared-file" | "object";
	readonly pages: number;
	readonly gap: number;
	readonly prot: number;
	readonly flags: number;
	readonly advice: readonly number[];
	readonly from: number;
	/** Runs of pages with bytes: pages skipped, pages held. */
	readonly runs: readonly (readonly [number, number])[];
	readonly cutShort: boolean;
	readonly object: number;
}

const sketch: fc.Arbitrary<Sketch> = fc.record({
	kind: fc.constantFrom("anonymous", "anonymous", "file", "shared-file", "object"),
	pages: fc.oneof(
		{ weight: 8, arbitrary: fc.integer({ min: 1, max: 8 }) },
		{ weight: 1, arbitrary: fc.constant(1300) },
	),
	gap: fc.constantFrom(0, 0, 1, 5, 700),
	prot: fc.integer({ min: 0, max: 7 }),
	flags: fc.constantFrom(0, 0, 0, 0x100, 0x2000, 0x4000),
	advice: fc.subarray([1, 10, 15, 16]),
	from: fc.integer({ min: 0, max: 8 }),
	runs: fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 1300 })), { maxLength: 3 }),
	cutShort: fc.boolean(),
	object: fc.integer({ min: 1, max: 3 }),
});

const OBJECT_PAGES = 9;

function build(sketches: readonly Sketch[], names: readonly (string | undefined)[]): Task {
	const mappings: Mapping[] = [];
	const contents: Placed<Address>[] = [];
	let at = 0x7000_0000_0000n;
	let held = 0;
	const runsIn = (start: bigint, pages: number, { runs, cutShort }: Sketch): void => {
		let page = 0;
		for (const [skipped, wanted] of runs) {
			page += skipped;
			const count = Math.min(wanted, pages - page, PAGES_HELD - held);
			if (count <= 0) break;
			const length = BigInt(count * PAGE);
			const available = cutShort ? length - 1000n : length;
			contents.push({
				...{ start: address(start + BigInt(page * PAGE)), length, source, available },
				offset: fileOffset(held * PAGE),
			});
			held += count;
			page += count;
		}
	};
	for (const one of sketches) {
		const { kind, prot, flags, advice, from, gap } = one;
		const pages = kind === "anonymous" ? one.pages : Math.min(one.pages, 8);
		at += BigInt(gap * PAGE);
		const options = { prot, advice };
		if (kind === "anonymous") mappings.push(mapping(at, pages, anonymous, { ...options, flags }));
		if (kind === "file") mappings.push(mapping(at, pages, inFile(LIB, from), options));
		if (kind === "shared-file")
			mappings.push(mapping(at, pages, inFile(LOG, from, (prot & 2) !== 0), { ...options, shared: true }));
		if (kind === "object")
			mappings.push(mapping(at, pages, inObject(one.object, OBJECT_PAGES - pages), { ...options, shared: true }));
		if (kind === "anonymous" || kind === "file") runsIn(at, pages, one);
		at += BigInt(pages * PAGE);
	}
	const objects = names.map((name, i): SharedObject => {
		const bytes = pagesFile(4, 10 + i);
		const part = (start: number, length: number, offset: number): Placed<FileOffset> => ({
			...{ start: fileOffset(start), length: BigInt(length), available: BigInt(length) },
			...{ source: fromBuffer(`/images/shmem-${i}`, bytes), offset: fileOffset(offset) },
		});
		return {
			...{ id: i + 1, size: BigInt(OBJECT_PAGES * PAGE) },
			contents: [part(0, PAGE, 0), part(3 * PAGE, 2 * PAGE, PAGE)],
			...(name === undefined ? {} : { name }),
		};
	});
	return taskOf({ mappings, contents, objects });
}

const images = new Map([
	...files,
	[PAGES, pagesImage],
	...[0, 1, 2].map((i): [string, Buffer] => [`/images/shmem-${i}`, pagesFile(4, 10 + i)]),
]);

describe("a plan of memory", () => {
	it("ends with the task's mappings and bytes, and with nothing else", () => {
		fc.assert(
			fc.property(
				fc.array(sketch, { minLength: 1, maxLength: 12 }),
				fc.tuple(...[0, 1, 2].map(() => fc.constantFrom(undefined, "cache"))),
				fc.constantFrom("madvise" as const, "never" as const),
				fc.integer({ min: 1, max: 5 }),
				(sketches, names, hugePages, processors) => {
					const task = build(sketches, names);
					const model = executed(task, images, { hugePages, processors });
					expect(model.areas()).toEqual(expectedAreas(task));
					expect(model.open).toEqual([]);
					for (const { start, end } of task.memory.mappings)
						for (let at: bigint = start; at < end; at += BigInt(PAGE))
							if (model.page(at).compare(expectedPage(task, at, files)) !== 0)
								expect.fail(`page 0x${at.toString(16)} differs`);
				},
			),
			{ numRuns: 60 },
		);
	});

	it("ends with the same bytes where it is lazy, and with the same mappings but for the files that show", () => {
		fc.assert(
			fc.property(fc.array(sketch, { minLength: 1, maxLength: 12 }), (sketches) => {
				const task = build(sketches, [undefined, "cache", undefined]);
				const model = executed(task, images, {}, {}, { lazy: true });
				expect(model.areas().reduce(nameless, [])).toEqual(expectedAreas(task).reduce(nameless, []));
				const shown = model.areas().filter(({ what }) => what === PAGES);
				expect(model.views.reduce((sum, view) => sum + lengthOf(view), 0n)).toBe(
					shown.reduce((sum, { start, end }) => sum + (end - start), 0n),
				);
				expect(model.open).toEqual([]);
				for (const { start, end } of task.memory.mappings)
					for (let at: bigint = start; at < end; at += BigInt(PAGE))
						if (model.page(at).compare(expectedPage(task, at, files)) !== 0)
							expect.fail(`page 0x${at.toString(16)} differs`);
			}),
			{ numRuns: 40 },
		);
	});
});

/** Neighbours made one, whatever is behind them. */
const nameless = (done: ModelArea[], area: ModelArea): ModelArea[] =>
	joinAreas(done, { ...area, what: "anonymous", offset: 0n });

describe("a hole", () => {
	const ranges = fc
		.array(fc.tuple(fc.bigInt(0n, (1n << 35n) - 2n), fc.bigInt(1n, 1n << 33n), fc.boolean()), { maxLength: 20 })
		.map((list) =>
			list.map(([page, pages, grows]) => ({
				start: address(page * 4096n),
				end: address((page + pages) * 4096n < 1n << 47n ? (page + pages) * 4096n : 1n << 47n),
				flags: grows ? 0x100 : 0,
			})),
		);

	it("is free, apart from everything, and leaves stacks their room; reservations are apart from each other too", () => {
		fc.assert(
			fc.property(ranges, fc.bigInt(1n, 1n << 40n), (taken, length) => {
				let hole: ReturnType<typeof chooseHole>;
				try {
					hole = chooseHole(taken, length);
				} catch {
					return;
				}
				const reserve = reserver(taken, hole);
				const all: Taken[] = [...taken, hole];
				expect(hole.start % 4096n).toBe(0n);
				expect(lengthOf(hole)).toBe(((length + 4095n) / 4096n) * 4096n);
				expect(hole.start >= 0x1_0000n && hole.end <= 0x7fff_ffff_f000n).toBe(true);
				for (const { start, end, flags } of taken) {
					expect(hole.end < start || hole.start > end).toBe(true);
					const nearest = taken.every((other) => other.end <= hole.end || other.start >= start);
					if (flags !== 0 && hole.end < start && nearest) expect(start - hole.end).toBeGreaterThanOrEqual(1n << 28n);
				}
				for (let i = 0; i < 3; i++) {
					let start: bigint;
					try {
						start = reserve(length);
					} catch {
						return;
					}
					for (const other of all) expect(start + length < other.start || start > other.end).toBe(true);
					all.push({ start: address(start), end: address(start + lengthOf(hole)), flags: 0 });
				}
			}),
		);
	});
});
