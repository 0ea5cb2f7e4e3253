import { readFileSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { address, fileOffset } from "../../../../src/bytes/address.ts";
import { extent, place } from "../../../../src/bytes/extent.ts";
import { type ByteSource, fromBuffer, openFile } from "../../../../src/bytes/source.ts";
import { type PageRun, type PagesPlan, writePages } from "../../../../src/criu/pages/pages.ts";
import { refusalOf } from "../../../support/refusal.ts";
import { contentsOf, modeOf, scratch } from "../../../support/scratch.ts";
import { readPagemap } from "../../../support/witness/pagemap-file.ts";
import { framed, imageBytes, number } from "../../../support/witness/wire.ts";

const PAGE = 4096n;
const dense = (pages: number): Buffer => Buffer.alloc(pages * 4096, 0xab);

const run = (start: bigint, pages: number, source: ByteSource, more: Partial<PageRun> = {}): PageRun => ({
	...place(address(start), extent(source, 0n, BigInt(pages) * PAGE, source.size)),
	baseline: "zero",
	flags: 4,
	...more,
});

const plan = (runs: readonly PageRun[], kind: PagesPlan["kind"] = "task"): PagesPlan => ({
	pages: "pages-1.img",
	pagemap: "pagemap-5730.img",
	kind,
	pagesId: 1,
	runs,
});

test("the two files, byte for byte", async () => {
	const directory = scratch();
	const core = fromBuffer("core", Buffer.concat([dense(2), Buffer.alloc(4096), dense(1)]));
	const report = await writePages(directory, plan([run(0x400000n, 4, core, { flags: 6 })]));
	expect(readFileSync(join(directory, "pages-1.img"))).toEqual(dense(3));
	expect(readFileSync(join(directory, "pagemap-5730.img"))).toEqual(
		imageBytes(
			0x56084025,
			framed(number(1, 1)),
			framed([...number(1, 0x400000n), ...number(2, 2), ...number(4, 6), ...number(5, 2)]),
			framed([...number(1, 0x403000n), ...number(2, 1), ...number(4, 6), ...number(5, 1)]),
		),
	);
	expect(report).toEqual({ pages: 3, bytes: 3 * 4096, entries: 2, zero: 1, clean: 0, beyondFile: 0 });
	expect(modeOf(join(directory, "pages-1.img"))).toBe("0600");
	expect(modeOf(join(directory, "pagemap-5730.img"))).toBe("0600");
});

test("runs that touch become one entry, unless their flags differ", async () => {
	const directory = scratch();
	const core = fromBuffer("core", dense(2));
	const runs = [
		run(0x1000n, 2, core),
		run(0x3000n, 2, core),
		run(0x5000n, 2, core, { flags: 6 }),
		run(0x8000n, 2, core, { flags: 6 }),
	];
	await writePages(directory, plan(runs));
	const entries = readPagemap(directory, "pagemap-5730.img").entries;
	expect(entries.map((entry) => [entry[1], entry[5], entry[4]])).toEqual([
		[0x1000n, 4n, 4n],
		[0x5000n, 2n, 6n],
		[0x8000n, 2n, 6n],
	]);
});

describe("a task without a page that differs", () => {
	// criu's child dies of a pagemap that holds a head only
	test("gets its first one all the same", async () => {
		const directory = scratch();
		const core = fromBuffer("core", Buffer.alloc(0));
		const report = await writePages(directory, plan([run(0x1000n, 1 << 20, core)]));
		expect(report).toEqual({ pages: 1, bytes: 4096, entries: 1, zero: (1 << 20) - 1, clean: 0, beyondFile: 0 });
		expect(readPagemap(directory, "pagemap-5730.img").entries).toEqual([{ 1: 0x1000n, 2: 1n, 4: 4n, 5: 1n }]);
	});

	test("not one behind the end of its file", async () => {
		const directory = scratch();
		const bytes = dense(1).subarray(1);
		const source = fromBuffer("lib", bytes);
		const lib = extent(source, 0n, 2n * PAGE, source.size);
		const past = extent(source, PAGE, PAGE, 0n);
		const runs = [
			run(0x1000n, 1, fromBuffer("core", dense(1)), { baseline: past }),
			run(0x2000n, 2, fromBuffer("core", bytes), { baseline: lib }),
		];
		const report = await writePages(directory, plan(runs));
		expect(report).toEqual({ pages: 1, bytes: 4096, entries: 1, zero: 0, clean: 0, beyondFile: 2 });
		expect(readPagemap(directory, "pagemap-5730.img").entries[0]?.[1]).toBe(0x2000n);
		expect(readFileSync(join(directory, "pages-1.img"))).toEqual(Buffer.concat([bytes, Buffer.alloc(1)]));
	});

	test("is refused when there is none to write", async () => {
		expect(await refusalOf(writePages(scratch(), plan([])))).toBe(
			"ERR_CORE_CORRUPT pagemap-5730.img: the dead process has no private memory, expected at least one page",
		);
	});

	test("is not what a shared object is: that may be all zeros", async () => {
		const directory = scratch();
		const report = await writePages(directory, plan([run(0n, 3, fromBuffer("core", dense(0)))], "shared-object"));
		expect(report).toMatchObject({ pages: 0, entries: 0, zero: 3 });
		expect(readPagemap(directory, "pagemap-5730.img")).toEqual({ head: { 1: 1n }, entries: [] });
	});
});

describe("zeros that must be written", () => {
	test("become a hole, and the file has its length", async () => {
		const directory = scratch();
		const core = fromBuffer("core", dense(1));
		const runs = [run(0x1000n, 1000, core, { baseline: "nothing" }), run(0x10000000n, 1, core)];
		await writePages(directory, plan([...runs, run(0x20000000n, 5000, core, { baseline: "nothing" })]));
		const { size, blocks } = statSync(join(directory, "pages-1.img"));
		expect(size).toBe(6001 * 4096);
		expect(blocks * 512).toBeLessThan(1 << 20);
		expect(readFileSync(join(directory, "pages-1.img")).subarray(1000 * 4096, 1002 * 4096)).toEqual(dense(2));
	});

	test("in any amount cost no time: the file system says when it is too much", async () => {
		const core = fromBuffer("core", dense(0));
		const runs = [{ ...run(0n, 1, core, { baseline: "nothing" }), length: 1n << 62n }];
		expect(await refusalOf(writePages(scratch(), plan(runs)))).toBe(
			"ERR_IO pages-1.img: the file would be larger than the file system or the limit on file sizes allows; make room and run it again",
		);
	});
});

describe("a source that ends early", () => {
	test("as its size says", async () => {
		const directory = scratch();
		writeFileSync(join(directory, "core"), dense(3));
		const core = openFile(join(directory, "core"), "core.5739");
		const runs = [run(0x1000n, 4, core, { offset: fileOffset(0x1800), available: 4n * PAGE })];
		expect(await refusalOf(writePages(directory, plan(runs)))).toBe(
			"ERR_CORE_TRUNCATED core.5739: ends at 0x3000, expected 16384 bytes at 0x1800; wait until it is written completely",
		);
		core.close();
	});

	test("because it was cut while we read it", async () => {
		const directory = scratch();
		writeFileSync(join(directory, "core"), dense(3));
		const core = openFile(join(directory, "core"), "core.5739");
		truncateSync(join(directory, "core"), 5000);
		expect(await refusalOf(writePages(directory, plan([run(0x1000n, 3, core)])))).toBe(
			"ERR_CORE_TRUNCATED core.5739: ends at 0x1388, expected 12288 bytes at 0x0; wait until it is written completely",
		);
		core.close();
	});

	test("and is far away", async () => {
		const core = fromBuffer("core", dense(1));
		const runs = [run(0x1000n, 1, core, { offset: fileOffset(1n << 63n) })];
		expect(await refusalOf(writePages(scratch(), plan(runs)))).toBe(
			"ERR_CORE_TRUNCATED core: ends at 0x1000, expected 4096 bytes at 0x8000000000000000; wait until it is written completely",
		);
	});

	test("and is the mapped file", async () => {
		const directory = scratch();
		writeFileSync(join(directory, "lib"), dense(3));
		const source = openFile(join(directory, "lib"), "libc.so.6");
		truncateSync(join(directory, "lib"), 4096);
		const runs = [run(0x1000n, 3, fromBuffer("core", dense(3)), { baseline: extent(source, 0n, 3n * PAGE) })];
		expect(await refusalOf(writePages(directory, plan(runs)))).toBe(
			"ERR_BINARY_MISMATCH libc.so.6: became shorter while it was read and ends at 0x1000, expected 12288 bytes at 0x0",
		);
		source.close();
	});
});

test("nothing is written through a planted link", async () => {
	const directory = scratch();
	const victim = join(scratch(), "victim");
	symlinkSync(victim, join(directory, "pages-1.img"));
	expect(await refusalOf(writePages(directory, plan([run(0x1000n, 1, fromBuffer("core", dense(1)))])))).toBe(
		"ERR_IO pages-1.img: open failed with EEXIST",
	);
	expect(contentsOf(directory)).toEqual({ "pages-1.img": `-> ${victim}` });
});

test("an aborted write stops with the signal's reason", async () => {
	const core = fromBuffer("core", dense(2000));
	const abort = new AbortController();
	const progress = (): void => abort.abort(new Error("enough"));
	const writing = writePages(scratch(), plan([run(0x1000n, 2000, core)]), { progress, signal: abort.signal });
	await expect(writing).rejects.toThrow("enough");
});

test.each([
	["not aligned", [{ start: 0x1001n, length: PAGE }], "the run at 0x1001 is not page aligned"],
	["empty", [{ start: 0x1000n, length: 0n }], "the run at 0x1000 is empty"],
	[
		"out of order",
		[
			{ start: 0x3000n, length: PAGE },
			{ start: 0x3000n, length: PAGE },
		],
		"the run at 0x3000 starts before 0x4000, where the one before it ends",
	],
])("runs that are %s are a bug of ours", async (_, places, message) => {
	const runs = places.map(({ start, length }) => ({ ...run(start, 1, fromBuffer("core", dense(1))), length }));
	await expect(writePages(scratch(), plan(runs))).rejects.toThrow(new RangeError(message));
});
