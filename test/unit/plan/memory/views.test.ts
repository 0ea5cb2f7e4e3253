import { describe, expect, it } from "vitest";
import { type Address, fileOffset } from "../../../../src/bytes/address.ts";
import type { Placed } from "../../../../src/bytes/extent.ts";
import {
	anonymous,
	content,
	executed,
	expectedPage,
	inFile,
	type MappingOptions,
	mapping,
	PAGE,
	PAGES,
	pagesFile,
	planned,
	taskOf,
} from "../../../support/builders/memory-task.ts";

const AT = 0x7000_0000_0000n;
const LIB = "/lib/libm.so";
const lazy = { lazy: true };
const pages = pagesFile(512, 1);
const files = new Map([
	[PAGES, pages],
	[LIB, pagesFile(512, 2)],
]);

/** What a lazy plan does between `clear` and `bounds`. */
const middle = (task: Parameters<typeof planned>[0]): readonly string[] => {
	const { steps, calls } = planned(task, {}, lazy);
	return calls.filter((_, i) => ["map", "fill", "protect"].includes(steps[i]?.stage ?? ""));
};

const agree = (task: Parameters<typeof planned>[0]): void => {
	const model = executed(task, files, {}, {}, lazy);
	for (const { start, end } of task.memory.mappings)
		for (let at: bigint = start; at < end; at += 4096n)
			expect(model.page(at).equals(expectedPage(task, at, files)), `page 0x${at.toString(16)}`).toBe(true);
};

describe("a lazy plan", () => {
	it("maps whole pages of a file over private memory, at once with their protection, and reads nothing", () => {
		const task = taskOf({
			mappings: [mapping(AT, 64, anonymous, { prot: 1 })],
			contents: [content(pages, AT + 0x4000n, 16, 8)],
		});
		expect(middle(task)).toEqual(["mmap 700000000000 40000 1 100022 -1 0", "mmap 700000004000 10000 1 12 41 8000"]);
		expect(planned(task, {}, lazy).views).toEqual([{ start: AT + 0x4000n, end: AT + 0x1_4000n }]);
		agree(task);
	});

	it("opens a file once, and reads what is left of it", () => {
		const task = taskOf({
			mappings: [mapping(AT, 64, anonymous), mapping(AT + 0x10_0000n, 32, anonymous, { prot: 1, flags: 0x2_4000 })],
			contents: [
				content(pages, AT, 16, 8),
				content(pages, AT + 0x1_1000n, 1, 24),
				// the last page is there in part
				content(pages, AT + 0x10_0000n, 32, 32, 32 * PAGE - 100),
			],
		});
		expect(middle(task)).toEqual([
			"mmap 700000000000 40000 3 100022 -1 0",
			"mmap 700000100000 20000 3 124022 -1 0",
			"mmap 700000000000 10000 3 12 41 8000",
			"mmap 700000100000 1f000 1 24012 41 20000",
			"pread64 41 700000011000 1000 18000",
			"pread64 41 70000011f000 f9c 3f000",
			"mprotect 700000100000 20000 1",
		]);
		agree(task);
	});

	const unlike: readonly [string, MappingOptions][] = [
		["a stack, whose end moves", { flags: 0x100 }],
		["locked memory, whose pages come at once", { flags: 0x2000 }],
		["huge pages of hugetlbfs", { flags: 0x4_0000 | (21 << 26) }],
		["memory that may vanish", { flags: 0x8 }],
		["code, as cores may lie where nothing may be executed", { prot: 7 }],
		["memory that a child finds empty, as no file may be that", { advice: [18] }],
	];
	it.each(unlike)("reads the pages of %s", (_, options) => {
		const task = taskOf({
			mappings: [mapping(AT, 512, anonymous, options)],
			contents: [content(pages, AT, 512, 0)],
		});
		expect(planned(task, {}, lazy).views).toEqual([]);
	});

	it.each([
		["is small", 15, 8n * 4096n, 15n * 4096n],
		["lies beside the pages of its file, as gdb writes it", 64, 4097n, 64n * 4096n],
		["ends in the middle of its first pages", 64, 0n, 15n * 4096n + 4095n],
		["is not in its file to the end, so that a read can say so", 64, 449n * 4096n, 64n * 4096n],
	] as const)("reads what %s", (_, count, offset, available) => {
		const one: Placed<Address> = { ...content(pages, AT, count, 0), offset: fileOffset(offset), available };
		const task = taskOf({ mappings: [mapping(AT, 64, anonymous)], contents: [one] });
		expect(planned(task, {}, lazy).views).toEqual([]);
	});

	it("reads what lies among guards", () => {
		const task = taskOf({
			mappings: [mapping(AT, 64, anonymous), mapping(AT + 0x2_0000n, 1, { kind: "guard" }, { prot: 0 })],
			contents: [content(pages, AT, 16, 0)],
		});
		expect(planned(task, {}, lazy).views).toEqual([]);
	});

	it("leaves a file's mapping its name, unless there is a lot to read", () => {
		const of = (count: number) =>
			taskOf({
				mappings: [mapping(AT, 512, inFile(LIB))],
				contents: [content(pages, AT, count, 0)],
			});
		expect(planned(of(255), {}, lazy).views).toEqual([]);
		expect(planned(of(256), {}, lazy).views).toEqual([{ start: AT, end: AT + 0x10_0000n }]);
		agree(of(256));
	});

	it("puts zeros over a file's bytes behind a view", () => {
		const task = taskOf({
			mappings: [mapping(AT, 512, inFile(LIB), { prot: 1 })],
			contents: [content(pages, AT, 400, 0, 300 * PAGE + 5)],
		});
		expect(planned(task, {}, lazy).views).toEqual([{ start: AT, end: AT + BigInt(300 * PAGE) }]);
		agree(task);
	});

	it("takes no more views than the kernel allows mappings, the largest first", () => {
		const count = 17_000;
		const sized = Array.from({ length: count }, (_, i) => (i % 17 === 0 ? 16 : 17));
		const task = taskOf({
			mappings: sized.map((held, i) => mapping(AT + BigInt(i * 32 * PAGE), held, anonymous)),
			contents: sized.map((held, i) => content(pages, AT + BigInt(i * 32 * PAGE), held, 0)),
		});
		const { views } = planned(task, {}, lazy);
		expect(views).toHaveLength(16_384);
		expect(views.filter(({ start, end }) => end - start === BigInt(16 * PAGE))).toHaveLength(384);
		expect(views).toEqual([...views].sort((a, b) => (a.start < b.start ? -1 : 1)));
	}, 20_000);

	it("is only lazy when asked", () => {
		const task = taskOf({ mappings: [mapping(AT, 64, anonymous)], contents: [content(pages, AT, 64, 0)] });
		expect(planned(task).views).toEqual([]);
	});
});
