import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { address, fileOffset } from "../../src/bytes/address.ts";
import { extent } from "../../src/bytes/extent.ts";
import { type ByteSource, fromBuffer, openFile } from "../../src/bytes/source.ts";
import { type PageRun, workOf, writePages } from "../../src/criu/pages/pages.ts";
import { quickScratch } from "../support/scratch.ts";
import { readPagemap, readPages } from "../support/witness/pagemap-file.ts";

// The model reads everything, page by page, into one map of the address space.

const PAGE = 4096;

/** Pages of a small alphabet, so that equal ones meet. `1` and `2` differ from zeros only in the first or last byte. */
const kinds = [0, 0, 0, 1, 2, 3, 4, 4] as const;
const pageOf = (kind: number): Buffer => {
	const page = Buffer.alloc(PAGE, kind > 2 ? kind : 0);
	if (kind === 1) page[0] = 1;
	if (kind === 2) page[PAGE - 1] = 1;
	return page;
};
const content = fc
	.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 12 })
	.map((pages) => Buffer.concat(pages.map(pageOf)));

interface Model {
	readonly gap: number;
	readonly pages: number;
	readonly bytes: Buffer;
	readonly available: number;
	readonly skew: number;
	readonly baseline: "zero" | "nothing" | Buffer;
	readonly flags: number;
}

/** A file as long as the run, or shorter, or not a whole number of pages. */
const file = fc.tuple(content, fc.nat(PAGE)).map(([bytes, cut]) => bytes.subarray(0, bytes.length - cut));

const run: fc.Arbitrary<Model> = fc.record({
	gap: fc.constantFrom(0, 0, 1, 3),
	pages: fc.integer({ min: 1, max: 12 }),
	bytes: content,
	available: fc.oneof(fc.constant(1 << 20), fc.nat(12 * PAGE)),
	skew: fc.constantFrom(0, 0, 7),
	baseline: fc.oneof(fc.constantFrom("zero" as const, "nothing" as const), file),
	flags: fc.constantFrom(4, 4, 6),
});

/** The runs, in one source that holds them in a row with `skew` bytes between, and what memory must look like. */
function build(models: readonly Model[], open: (bytes: Buffer) => ByteSource) {
	const pieces: Buffer[] = [];
	let at = 0x7f00_0000_0000n;
	let offset = 0;
	const plans = models.map((model) => {
		const available = Math.min(model.available, model.bytes.length, model.pages * PAGE);
		pieces.push(Buffer.alloc(model.skew, 0xee), model.bytes.subarray(0, available));
		at += BigInt(model.gap * PAGE);
		const plan = { model, start: at, offset: offset + model.skew, available };
		offset += model.skew + available;
		at += BigInt(model.pages * PAGE);
		return plan;
	});
	const source = open(Buffer.concat(pieces));
	const expected = new Map<bigint, { want: Buffer; shown: Buffer | "gone" | undefined; flags: number }>();
	const runs = plans.map(({ model, start, offset: from, available }): PageRun => {
		const whole = Buffer.concat([model.bytes.subarray(0, available), Buffer.alloc(model.pages * PAGE)]);
		for (let i = 0; i < model.pages; i++) {
			const want = whole.subarray(i * PAGE, i * PAGE + PAGE);
			expected.set(start + BigInt(i * PAGE), { want, shown: shownAt(model.baseline, i), flags: model.flags });
		}
		return {
			start: address(start),
			length: BigInt(model.pages * PAGE),
			source,
			offset: fileOffset(from),
			available: BigInt(available),
			baseline:
				typeof model.baseline === "string"
					? model.baseline
					: extent(
							fromBuffer("lib", Buffer.concat([Buffer.alloc(3), model.baseline])),
							3n,
							BigInt(model.pages * PAGE),
							BigInt(model.baseline.length),
						),
			flags: model.flags,
		};
	});
	return { runs, expected, source };
}

function shownAt(baseline: Model["baseline"], page: number): Buffer | "gone" | undefined {
	if (baseline === "nothing") return undefined;
	if (baseline === "zero") return Buffer.alloc(PAGE);
	if (page * PAGE >= baseline.length) return "gone";
	return Buffer.concat([baseline, Buffer.alloc(PAGE)]).subarray(page * PAGE, page * PAGE + PAGE);
}

const names = { pages: "pages-7.img", pagemap: "pagemap-42.img", pagesId: 7 } as const;

describe("pages that are written, over what the mappings show", () => {
	test("are the memory that was to be, and no page too many", async () => {
		const cases = fc.tuple(fc.array(run, { minLength: 1, maxLength: 8 }), fc.boolean(), fc.boolean());
		await fc.assert(
			fc.asyncProperty(cases, async ([models, onDisk, task]) => {
				const directory = quickScratch();
				const { runs, expected, source } = build(models, (bytes) => {
					if (!onDisk) return fromBuffer("core", bytes);
					writeFileSync(join(directory, "core"), bytes);
					return openFile(join(directory, "core"));
				});
				const all = [...expected.values()];
				fc.pre(all.some(({ shown }) => shown !== "gone"));
				let progress = 0n;
				const plan = { ...names, kind: task ? ("task" as const) : ("shared-object" as const), runs };
				const report = await writePages(directory, plan, { progress: (bytes) => (progress += bytes) });
				source.close();

				const written = readPages(directory, names.pagemap, names.pages);
				const { head, entries } = readPagemap(directory, names.pagemap);
				expect(head).toEqual({ 1: 7n });
				const beyond = all.filter(({ shown }) => shown === "gone");
				const needed = all.filter(({ want, shown }) => shown !== "gone" && !(shown?.equals(want) ?? false));
				for (const [at, { want, shown }] of expected) {
					const page = written.get(at);
					if (shown === "gone") expect(page).toBeUndefined();
					else expect((page ?? shown)?.equals(want)).toBe(true);
				}
				for (const at of written.keys()) expect(expected.has(at)).toBe(true);
				expect(written.size).toBe(needed.length === 0 && task ? 1 : needed.length);
				expect(report).toMatchObject({
					pages: written.size,
					bytes: written.size * PAGE,
					entries: entries.length,
					beyondFile: beyond.length,
				});
				expect(report.pages + report.zero + report.clean + report.beyondFile).toBe(all.length);
				expect(progress).toBe(workOf(plan));
				for (const [i, entry] of entries.entries()) {
					const start = entry[1] ?? 0n;
					expect(entry[4]).toBe(BigInt(expected.get(start)?.flags ?? 0));
					const before = entries[i - 1];
					if (before === undefined || before[4] !== entry[4]) continue;
					expect((before[1] ?? 0n) + (before[5] ?? 0n) * 4096n).not.toBe(start);
				}
			}),
			{ numRuns: 300 },
		);
	});

	test("do not depend on where batches end", async () => {
		const directory = quickScratch();
		const pages = Array.from({ length: 2500 }, (_, i) => pageOf(i % 7 === 0 || i % 300 < 40 ? 0 : 3 + (i % 2)));
		writeFileSync(join(directory, "core"), Buffer.concat(pages));
		const source = openFile(join(directory, "core"));
		const lengths = [1, 700, 3, 1, 1, 1200, 594];
		let at = 0;
		const runs = lengths.map((length, i): PageRun => {
			const from = at;
			at += length;
			return {
				start: address(BigInt(from + Math.floor(i / 2)) * 4096n),
				length: BigInt(length) * 4096n,
				source,
				offset: fileOffset(from * PAGE),
				available: BigInt(length) * 4096n,
				baseline: "zero",
				flags: 4,
			};
		});
		await writePages(directory, { ...names, kind: "task", runs });
		source.close();
		const written = readPages(directory, names.pagemap, names.pages);
		const expected = runs.flatMap((each) =>
			Array.from({ length: Number(each.length) / PAGE }, (_, i) => ({
				at: each.start + BigInt(i * PAGE),
				page: pages[Number(each.offset) / PAGE + i] ?? Buffer.alloc(0),
			})).filter(({ page }) => page.some((byte) => byte !== 0)),
		);
		expect([...written.keys()]).toEqual(expected.map((each) => each.at));
		expect(expected.every((each) => written.get(each.at)?.equals(each.page))).toBe(true);
	});
});
