import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../../../src/bytes/address.ts";
import { extent, place } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { loss } from "../../../../src/finding.ts";
import type { SharedObject } from "../../../../src/forest/task.ts";
import { chunkOf, readsOf } from "../../../../src/plan/memory/read-plan.ts";
import {
	anonymous,
	content,
	executed,
	expectedAreas,
	expectedPage,
	inFile,
	inObject,
	mapping,
	PAGE,
	PAGES,
	PID,
	pagesFile,
	planned,
	taskOf,
} from "../../../support/builders/memory-task.ts";
import { refusal } from "../../../support/refusal.ts";

const AT = 0x7000_0000_0000n;
const LIB = "/lib/libm.so";
const pages = pagesFile(64, 1);
const lib = pagesFile(16, 2);
const files = new Map([
	[PAGES, pages],
	[LIB, lib],
]);
/** What a plan of one mapping does between `clear` and `bounds`. */
const middle = (task: Parameters<typeof planned>[0], facts = {}): readonly string[] => {
	const { steps, calls } = planned(task, facts);
	return calls.filter((_, i) => ["map", "fill", "protect"].includes(steps[i]?.stage ?? ""));
};
const at = AT.toString(16);

describe("planMemory", () => {
	it("first unmaps everything but the hole", () => {
		const { calls, hole } = planned(taskOf({ mappings: [] }));
		expect(hole.start).toBe(0x2000_0000_0000n);
		expect(calls.slice(0, 2)).toEqual(["munmap 0 200000000000", "munmap 200000800000 5fffff7ff000"]);
	});

	it("maps private anonymous memory with what is asked of it", () => {
		expect(middle(taskOf({ mappings: [mapping(AT, 2, anonymous, { prot: 0, flags: 0x4000 })] }))).toEqual([
			`mmap ${at} 2000 0 104022 -1 0`,
		]);
		expect(middle(taskOf({ mappings: [mapping(AT, 2, anonymous, { flags: 0x100 })] }))).toEqual([
			`mmap ${at} 2000 3 100122 -1 0`,
		]);
		expect(middle(taskOf({ mappings: [mapping(AT, 512, anonymous, { flags: 0x4_0000 | (21 << 26) })] }))).toEqual([
			`mmap ${at} 200000 3 54140022 -1 0`,
		]);
		expect(middle(taskOf({ mappings: [mapping(AT, 2, anonymous, { flags: 8 })] }))).toEqual([
			`mmap ${at} 2000 3 100028 -1 0`,
		]);
	});

	it("leaves out flags that mean nothing when a mapping is made", () => {
		const [call] = middle(taskOf({ mappings: [mapping(AT, 2, anonymous, { flags: 0x1800 | 0x10 | 0x8000 })] }));
		expect(call).toBe(`mmap ${at} 2000 3 100022 -1 0`);
	});

	it("makes memory writable until its bytes are in", () => {
		const task = taskOf({
			mappings: [mapping(AT, 4, anonymous, { prot: 0 })],
			contents: [content(pages, AT, 1, 5), content(pages, AT + 0x2000n, 2, 6)],
		});
		expect(middle(task)).toEqual([`mmap ${at} 4000 2 100022 -1 0`, "preadv 41 @ 2 5000 0", `mprotect ${at} 4000 0`]);
		const model = executed(task, files);
		expect(model.page(AT + 0x2000n).equals(pages.subarray(6 * PAGE, 7 * PAGE))).toBe(true);
		expect(model.areas()).toEqual(expectedAreas(task));
	});

	it("opens a file once for all its private mappings, and again where a shared one may be written", () => {
		const task = taskOf({
			mappings: [
				mapping(AT, 1, inFile(LIB, 0), { prot: 5 }),
				mapping(AT + 0x1000n, 1, inFile(LIB, 4), { prot: 1 }),
				mapping(AT + 0x2000n, 1, inFile(LIB, 5), { prot: 1, shared: true }),
				mapping(AT + 0x3000n, 1, inFile(LIB, 6, true), { prot: 1, shared: true }),
				mapping(AT + 0x4000n, 1, inFile(LIB, 7, false), { prot: 3, shared: true }),
			],
		});
		expect(middle(task)).toEqual([
			"mmap 700000000000 1000 5 100002 41 0",
			"mmap 700000001000 1000 1 100002 41 4000",
			"mmap 700000002000 1000 1 100001 41 5000",
			"mmap 700000003000 1000 1 100001 42 6000",
			"mmap 700000004000 1000 3 100001 42 7000",
		]);
	});

	it("puts zeros over a file's bytes where the saved ones end", () => {
		const task = taskOf({
			mappings: [mapping(AT, 4, inFile(LIB, 0))],
			contents: [content(pages, AT + 0x1000n, 2, 3, 5000)],
		});
		const model = executed(task, files);
		for (let page = 0; page < 4; page++) {
			const where = AT + BigInt(page * PAGE);
			expect(model.page(where).equals(expectedPage(task, where, files))).toBe(true);
		}
		expect(middle(task)).toContain("read * 700000002388 c78");
	});

	it("gives lasting advice again, and no other", () => {
		const task = taskOf({ mappings: [mapping(AT, 2, anonymous, { advice: [4, 12, 14, 16] })] });
		const { calls, draft } = planned(task);
		expect(calls.filter((call) => call.startsWith("madvise"))).toEqual([
			`madvise ${at} 2000 c`,
			`madvise ${at} 2000 e`,
			`madvise ${at} 2000 10`,
		]);
		expect(draft.findings).toEqual([
			loss("advice", "mapping 0x700000000000", "advice of mask 0x10 is not given again: it is no lasting advice"),
		]);
		expect(executed(task, files, {}, { unknownAdvice: [12, 14] }).areas()[0]?.marks).toEqual(["16"]);
	});

	it("puts guards back last", () => {
		const task = taskOf({
			mappings: [mapping(AT, 8, anonymous), mapping(AT + 0x2000n, 1, { kind: "guard" }, { prot: 0 })],
			contents: [content(pages, AT, 1, 0)],
		});
		expect(middle(task).at(-1)).toBe("madvise 700000002000 1000 66");
		expect(executed(task, files).isGuard(AT + 0x2000n)).toBe(true);
	});
});

describe("shared objects", () => {
	const object = (more: Partial<SharedObject> = {}): SharedObject => ({
		id: 1,
		size: BigInt(4 * PAGE),
		contents: [place(fileOffset(0x1000n), content(pages, 0n, 1, 9))],
		...more,
	});
	const shared = { shared: true };
	const agree = (task: ReturnType<typeof taskOf>): void => {
		const model = executed(task, files);
		expect(model.areas()).toEqual(expectedAreas(task));
		for (const { start, end } of task.memory.mappings)
			for (let page: bigint = start; page < end; page += 4096n)
				expect(model.page(page).equals(expectedPage(task, page, files))).toBe(true);
	};

	it("makes shared anonymous memory at its place, also where mprotect had split it", () => {
		const task = taskOf({
			mappings: [mapping(AT, 1, inObject(1), { ...shared, prot: 1 }), mapping(AT + 0x1000n, 3, inObject(1, 1), shared)],
			objects: [object()],
		});
		expect(middle(task)).toEqual([
			`mmap ${at} 4000 3 100021 -1 0`,
			"pread64 41 700000001000 1000 9000",
			`mprotect ${at} 1000 1`,
		]);
		agree(task);
	});

	it("makes it aside where it was mapped twice or in part", () => {
		const task = taskOf({
			mappings: [
				mapping(AT, 4, inObject(1), shared),
				mapping(AT + 0x10_0000n, 2, inObject(1, 1), { ...shared, prot: 1, flags: 0x2000 }),
			],
			objects: [object()],
		});
		expect(middle(task)).toEqual([
			"mmap 200000801000 4000 3 100021 -1 0",
			"mremap 200000801000 0 4000 3 700000000000",
			"mremap 200000802000 0 2000 3 700000100000",
			"mlock 700000100000 2000",
			"pread64 41 200000802000 1000 9000",
			"munmap 200000801000 4000",
			"mprotect 700000100000 2000 1",
		]);
		agree(task);
	});

	it("makes a memfd of what has a name, and fills it through its mapping where that shows all of it", () => {
		const task = taskOf({
			mappings: [mapping(AT, 4, inObject(1), { ...shared, prot: 1 })],
			objects: [object({ name: "cache" })],
		});
		expect(middle(task)).toEqual([
			"memfd_create @ 1",
			"ftruncate * 4000",
			`mmap ${at} 4000 3 100001 * 0`,
			"close *",
			"pread64 41 700000001000 1000 9000",
			`mprotect ${at} 4000 1`,
		]);
		agree(task);
	});

	it("fills a memfd through a window where it is mapped in parts, and keeps private pages apart", () => {
		const task = taskOf({
			mappings: [
				mapping(AT, 2, inObject(1, 1), { ...shared, prot: 3 }),
				mapping(AT + 0x10_0000n, 4, inObject(1), { prot: 1 }),
			],
			objects: [object({ name: "cache" })],
			contents: [content(pages, AT + 0x10_1000n, 1, 20)],
		});
		agree(task);
		expect(middle(task)).toContain("munmap 200000801000 2000");
	});

	it("asks for huge pages where the object had them, at an address that fits", () => {
		const flags = 0x4_0000 | (21 << 26);
		const task = taskOf({
			mappings: [
				mapping(AT, 512, inObject(1), { ...shared, flags }),
				mapping(AT + (1n << 22n), 512, inObject(1), { ...shared, flags }),
			],
			objects: [object({ size: 1n << 21n })],
		});
		expect(middle(task).slice(0, 4)).toEqual([
			"memfd_create @ 54000005",
			"ftruncate * 200000",
			"mmap 200000a00000 200000 3 104001 * 0",
			`mmap ${at} 200000 3 100001 * 0`,
		]);
	});

	it("makes shared memory of a System V segment, and says that its bytes are lost", () => {
		const sysv = { kind: "sysv", id: 7n, offset: fileOffset(0) } as const;
		const task = taskOf({ mappings: [mapping(AT, 2, sysv, shared)] });
		const model = executed(task, files);
		expect(model.areas()).toEqual(expectedAreas(task));
		expect(model.draft.findings).toEqual([
			loss(
				"contents-lost",
				"mapping 0x700000000000",
				"System V segment 7 becomes shared memory of its own; its bytes are lost and read as zeros",
			),
		]);
	});

	it("refuses a mapping of nothing and bytes beyond an end", () => {
		expect(refusal(() => planned(taskOf({ mappings: [mapping(AT, 1, inObject(3), shared)] })))).toBe(
			"ERR_TASK_UNRUNNABLE mapping 0x700000000000: shows shared object 3, which is not there",
		);
		const objects = [object({ contents: [place(fileOffset(0x4000n), content(pages, 0n, 1, 0))] })];
		expect(refusal(() => planned(taskOf({ mappings: [mapping(AT, 4, inObject(1), shared)], objects })))).toBe(
			"ERR_TASK_UNRUNNABLE /images/pages-1.img: holds bytes up to 0x5000 of a shared object, which has 16384",
		);
	});
});

describe("what cannot be planned", () => {
	it.each([
		["aio", "mapping 0x700000000000: is a ring of asynchronous I/O (io_setup), which cannot be restored yet"],
		["socket", "mapping 0x700000000000: is the ring of a packet socket, which cannot be restored yet"],
	] as const)("is refused by name: %s", (kind, text) => {
		expect(refusal(() => planned(taskOf({ mappings: [mapping(AT, 1, { kind })] })))).toBe(`ERR_UNSUPPORTED ${text}`);
	});

	it("is refused where addresses are beyond what is mapped without asking", () => {
		expect(refusal(() => planned(taskOf({ mappings: [mapping(0x7fff_ffff_f000n, 1, anonymous)] })))).toBe(
			"ERR_UNSUPPORTED mapping 0x7ffffffff000: ends at 0x800000000000, expected user memory to end by 0x7ffffffff000",
		);
	});

	it("is refused where mappings overlap", () => {
		const mappings = [mapping(AT, 2, anonymous), mapping(AT + 0x1000n, 2, anonymous)];
		expect(refusal(() => planned(taskOf({ mappings })))).toBe(
			"ERR_TASK_UNRUNNABLE mapping 0x700000000000: ends at 0x700000002000, but the next mapping starts at 0x700000001000",
		);
	});

	it.each([
		["nothing", [mapping(AT, 1, anonymous)], AT, 2, "0x700000001000"],
		["shared memory", [mapping(AT, 2, inFile(LIB), { shared: true })], AT, 2, "0x700000000000"],
		["half a page", [mapping(AT, 2, anonymous)], AT + 8n, 1, "0x700000000008"],
	] as const)("is refused where bytes belong to %s", (_, mappings, start, count, where) => {
		expect(refusal(() => planned(taskOf({ mappings, contents: [content(pages, start, count, 0)] })))).toBe(
			`ERR_TASK_UNRUNNABLE /images/pages-1.img: holds bytes of ${where}, expected an address in private memory`,
		);
	});

	it("is not the vsyscall page, which every process has", () => {
		const mappings = [mapping(0xffff_ffff_ff60_0000n, 1, { kind: "vsyscall" }, { prot: 4 })];
		expect(middle(taskOf({ mappings }))).toEqual([]);
	});
});

describe("filling", () => {
	const HUGE = 512;

	it("touches, joins, and reads whole huge pages, and the rest by the way", () => {
		const big = pagesFile(3 * HUGE, 4);
		const start = AT + BigInt(100 * PAGE);
		const task = taskOf({
			mappings: [mapping(AT, 4 * HUGE, anonymous)],
			contents: [content(big, start, 3 * HUGE, 0)],
		});
		expect(middle(task)).toEqual([
			`mmap ${at} 800000 3 100022 -1 0`,
			"pread64 41 700000064000 19c000 0",
			"preadv 41 @ 2 19c000 0",
			"madvise 700000200000 400000 19",
			"pread64 41 700000200000 400000 19c000",
			"pread64 41 700000600000 64000 59c000",
		]);
		const model = executed(task, new Map([[PAGES, big]]));
		for (let page = 0; page < 4 * HUGE; page++) {
			const where = AT + BigInt(page * PAGE);
			expect(model.page(where).equals(expectedPage(task, where, files)), `page ${page}`).toBe(true);
		}
	});

	it.each([
		["asks for small pages where the system has switched huge ones off", anonymous, {}, "never", ["17"]],
		[
			"asks for small pages where the program advised against huge ones",
			anonymous,
			{ advice: [15] },
			"madvise",
			["17"],
		],
		["lets pages come as they come in a stack", anonymous, { flags: 0x100 }, "madvise", []],
		["lets pages come as they come in a file", inFile(LIB), {}, "madvise", []],
	] as const)("%s", (_, backing, options, hugePages, advice) => {
		const big = pagesFile(HUGE, 4);
		const task = taskOf({
			mappings: [mapping(AT, HUGE, backing, options)],
			contents: [content(big, AT, HUGE, 0)],
		});
		const fill = planned(task, { hugePages }).steps.filter(({ stage, call }) => stage === "fill" && call === "madvise");
		expect(fill.map(({ args }) => Number(args[2]).toString(16))).toEqual(advice);
	});

	it("shares the work from 64 MiB on, and waits until the fillers' thread ids are free", () => {
		const big = pagesFile(8 * HUGE, 4);
		// the same bytes again and again: this is about who reads them
		const contents = Array.from({ length: 4 }, (_, i) => content(big, AT + BigInt(i * 8 * HUGE * PAGE), 8 * HUGE, 0));
		const task = taskOf({ mappings: [mapping(AT, 32 * HUGE, anonymous)], contents });
		const plan = executed(task, new Map([[PAGES, big]]), { processors: 3 });
		const bytes = plan.draft.lists.map(({ name, steps }) => [
			name,
			steps.reduce((sum, { call, args }) => (call === "pread64" ? sum + Number(args[2]) : sum), 0),
		]);
		expect(bytes).toEqual([
			["leader", 32 << 20],
			["filler 1", 16 << 20],
			["filler 2", 16 << 20],
		]);
		const calls = plan.steps.filter(({ stage }) => stage === "fill").map(({ call }) => call);
		expect(calls.filter((call) => !["pread64", "preadv", "madvise"].includes(call))).toEqual([
			...["spawn", "spawn", "await", "tgkill", "await", "tgkill"],
		]);
		expect(plan.page(AT + BigInt(31 * HUGE * PAGE)).equals(big.subarray(7 * HUGE * PAGE, 7 * HUGE * PAGE + PAGE))).toBe(
			true,
		);
		expect(planned(task, { processors: 1 }).draft.lists.map(({ name }) => name)).toEqual(["leader"]);
		expect(plan.steps.find(({ call }) => call === "tgkill")?.args[0]).toBe(BigInt(PID));
	});

	it("expects every byte of a file that is too short to hold them", () => {
		const task = taskOf({ mappings: [mapping(AT, 2, anonymous)], contents: [content(pages, AT, 2, 0)] });
		expect(() => executed(task, new Map([[PAGES, pages.subarray(0, PAGE + 10)]]))).toThrow(
			"leader: pread64(0x41, 0x700000000000, 0x2000, 0x0) (fill 8192 bytes) returned 4106",
		);
	});
});

describe("readsOf", () => {
	const source = fromBuffer("pages", Buffer.alloc(0));
	const stretch = (start: bigint, length: bigint, offset: bigint) =>
		place(address(start), extent(source, offset, length));

	it("joins what follows in both file and memory, and vectors what follows in the file", () => {
		const reads = readsOf(
			[stretch(0x1000n, 0x1000n, 0n), stretch(0x2000n, 0x1000n, 0x1000n), stretch(0x9000n, 0x1000n, 0x2000n)],
			[],
			1n << 24n,
		);
		expect(reads.map(({ bytes: { offset, length }, places }) => [offset, length, places.length])).toEqual([
			[0n, 0x3000n, 2],
		]);
	});

	it("puts at most 1024 places into one read, and at most a chunk of bytes", () => {
		const many = Array.from({ length: 1500 }, (_, i) => stretch(BigInt(i) * 0x2000n, 0x1000n, BigInt(i) * 0x1000n));
		expect(readsOf(many, [], 1n << 24n).map(({ places }) => places.length)).toEqual([1024, 476]);
		const large = readsOf([stretch(0n, 0x500_0000n, 0n)], [], 1n << 24n);
		expect(large.map(({ bytes }) => bytes.length)).toEqual(Array.from({ length: 5 }, () => 1n << 24n));
	});

	it("reads each byte once, huge pages or not", () => {
		const space = { start: address(0n), end: address(1n << 40n), huge: true };
		const reads = readsOf([stretch(0x1000n, 0x60_0000n, 0n)], [space], 1n << 24n);
		expect(reads.map(({ bytes: { offset, length }, pages }) => [offset, length, pages])).toEqual([
			[0n, 0x1f_f000n, undefined],
			[0x1f_f000n, 0x40_0000n, "huge"],
			[0x5f_f000n, 0x1000n, undefined],
		]);
		const small = { start: address(0x10_0000n), end: address(0x28_0000n), huge: false };
		const tiny = { start: address(0x30_0000n), end: address(0x31_0000n), huge: false };
		expect(
			readsOf([stretch(0x1000n, 0x60_0000n, 0n)], [small, tiny], 1n << 20n).map(({ places, pages }) => [
				places[0]?.start,
				pages,
			]),
		).toEqual([
			[0x1000n, undefined],
			[0x10_0000n, "small"],
			[0x20_0000n, "small"],
			[0x28_0000n, undefined],
			[0x38_0000n, undefined],
			[0x48_0000n, undefined],
			[0x58_0000n, undefined],
		]);
	});

	it("takes larger chunks of larger processes, up to 1 GiB", () => {
		expect(chunkOf(1n << 30n)).toBe(1n << 24n);
		expect(chunkOf(1n << 40n)).toBe(1n << 28n);
		expect(chunkOf(1n << 46n)).toBe(1n << 30n);
		expect(chunkOf((1n << 37n) + 1n) % (1n << 21n)).toBe(0n);
	});
});
