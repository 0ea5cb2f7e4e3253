import { describe, expect, test } from "vitest";
import { type Address, address } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { coreMemory } from "../../../src/core/memory.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { sparse } from "../../support/builders/sparse.ts";
import { refusal } from "../../support/refusal.ts";

const at = (value: bigint): Address => address(value);
const memoryOf = (core: Omit<BuiltCore, "threads">) =>
	coreMemory(readCore(fromBuffer("core", buildCore({ threads: [{ tid: 1 }], ...core }))));
const counting = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => i % 251));

const memory = memoryOf({
	segments: [
		// text: only its first page; data: whole; bss: whole; untouched anonymous memory; the legacy page at the very top
		{ start: 0x10000n, end: 0x14000n, prot: 1, bytes: counting(0x1000) },
		{ start: 0x14000n, end: 0x15000n, prot: 5 },
		{ start: 0x15000n, end: 0x17000n, prot: 3, bytes: counting(0x2000) },
		{ start: 0x17000n, end: 0x18000n, prot: 3, bytes: Buffer.alloc(0x1000, 7) },
		{ start: 0x20000n, end: 0x22000n, prot: 3 },
		{ start: 0x30000n, end: 0x31000n, prot: 3 },
		{ start: 0xffff_ffff_ff60_0000n, end: 0xffff_ffff_ff60_1000n, prot: 4, bytes: Buffer.alloc(0x1000) },
	],
	files: [
		{ start: 0x10000n, end: 0x14000n, offset: 0n, path: "/bin/a" },
		{ start: 0x14000n, end: 0x15000n, offset: 0x4000n, path: "/bin/a" },
		{ start: 0x15000n, end: 0x17000n, offset: 0x5000n, path: "/bin/a" },
		{ start: 0x30000n, end: 0x31000n, offset: 0n, path: "/dev/zero (deleted)" },
		{ start: 0x40000n, end: 0x42000n, offset: 0x1000n, path: "/lib/gone.so (deleted)" },
	],
});

describe("locate", () => {
	test("bytes in the core, to the end of what it holds", () => {
		const found = memory.locate(at(0x15800n));
		expect(found).toMatchObject({ kind: "core", length: 0x1800n });
		expect(memory.locate(at(0x10ff8n))).toMatchObject({ kind: "core", length: 8n });
	});

	test("the rest of a partly dumped mapping, and all of a clean one, in the file", () => {
		const file = { kind: "file", path: "/bin/a", deleted: false };
		expect(memory.locate(at(0x11008n))).toEqual({
			...{ ...file, offset: 0x1008n, length: 0x2ff8n, range: { start: 0x10000n, end: 0x14000n } },
		});
		expect(memory.locate(at(0x14000n))).toMatchObject({ ...file, offset: 0x4000n, length: 0x1000n });
	});

	test("file mappings that gdb left out, deleted or not", () => {
		expect(memory.locate(at(0x41000n))).toEqual({
			...{ kind: "file", path: "/lib/gone.so", deleted: true, offset: 0x2000n, length: 0x1000n },
			range: { start: 0x40000n, end: 0x42000n },
		});
	});

	test("nowhere: untouched, kernel-owned, or not mapped at all", () => {
		expect(memory.locate(at(0x20010n))).toEqual({ kind: "nothing", mapped: true, length: 0x1ff0n });
		expect(memory.locate(at(0x30000n))).toEqual({ kind: "nothing", mapped: true, length: 0x1000n });
		expect(memory.locate(at(0x18000n))).toEqual({ kind: "nothing", mapped: false, length: 0x8000n });
		expect(memory.locate(at(0n))).toEqual({ kind: "nothing", mapped: false, length: 0x10000n });
		expect(memory.locate(at(0xffff_ffff_ff60_1000n))).toEqual({ kind: "nothing", mapped: false, length: 0x9f_f000n });
	});
});

describe("read", () => {
	test("crosses adjoining mappings", () => {
		expect(memory.read(at(0x16ffcn), 8)).toEqual(Buffer.concat([counting(0x2000).subarray(-4), Buffer.alloc(4, 7)]));
		expect(memory.read(at(0x15000n), 0x3000)?.length).toBe(0x3000);
	});

	test("is whole or nothing", () => {
		expect(memory.read(at(0x17ffcn), 8)).toBeUndefined();
		expect(memory.read(at(0x10ffcn), 8)).toBeUndefined();
		expect(memory.read(at(0x14000n), 1)).toBeUndefined();
		expect(memory.read(at(0xffff_ffff_ffff_ffffn), 8)).toBeUndefined();
		expect(memory.read(at(0x15000n), 0)?.length).toBe(0);
	});

	test("words are little-endian, aligned or not", () => {
		expect(memory.readWord(at(0x15001n))).toBe(0x0807_0605_0403_0201n);
		expect(memory.readWord(at(0x17ffcn))).toBeUndefined();
	});
});

test("mappings are the union, ascending, offsets being their own", () => {
	expect(
		memory.mappings.map(({ start, prot, file, segment }) => [start, prot, file?.offset, segment?.available]),
	).toEqual([
		[0x10000n, 1, 0n, 0x1000n],
		[0x14000n, 5, 0x4000n, 0n],
		[0x15000n, 3, 0x5000n, 0x2000n],
		[0x17000n, 3, undefined, 0x1000n],
		[0x20000n, 3, undefined, 0n],
		[0x30000n, 3, 0n, 0n],
		[0x40000n, undefined, 0x1000n, undefined],
		[0xffff_ffff_ff60_0000n, 4, undefined, 0x1000n],
	]);
});

test("a row inside a segment splits it", () => {
	const split = memoryOf({
		segments: [{ start: 0x1000n, end: 0x5000n, prot: 3, bytes: counting(0x2800) }],
		files: [{ start: 0x2000n, end: 0x4000n, offset: 0x9000n, path: "/f" }],
	});
	expect(split.mappings.map(({ start, end, file, segment }) => [start, end, file?.offset, segment?.available])).toEqual(
		[
			[0x1000n, 0x2000n, undefined, 0x1000n],
			[0x2000n, 0x4000n, 0x9000n, 0x1800n],
			[0x4000n, 0x5000n, undefined, 0n],
		],
	);
	expect(split.read(at(0x1ff0n), 32)).toEqual(counting(0x2800).subarray(0xff0, 0x1010));
	expect(split.locate(at(0x3800n))).toMatchObject({ kind: "file", offset: 0xa800n, length: 0x800n });
});

test("a row that sticks out of a segment is a contradiction", () => {
	const segments = [{ start: 0x2000n, end: 0x4000n, prot: 3 }];
	for (const [start, end] of [
		[0x1000n, 0x3000n],
		[0x3000n, 0x5000n],
		[0x1000n, 0x5000n],
	] as const) {
		expect(refusal(() => memoryOf({ segments, files: [{ start, end, offset: 0n, path: "/f" }] }))).toBe(
			`ERR_CORE_CORRUPT core: NT_FILE row 0x${start.toString(16)}-0x${end.toString(16)} (/f) crosses segment 0x2000-0x4000, ` +
				"expected it to lie within one",
		);
	}
});

test("a core without memory is empty", () => {
	const empty = memoryOf({});
	expect(empty.mappings).toEqual([]);
	expect(empty.locate(at(0x1000n))).toEqual({ kind: "nothing", mapped: false, length: (1n << 64n) - 0x1000n });
});

test("execute-only text comes from its file, since the kernel may have written zeros; gdb's and JIT output do not", () => {
	const bytes = Buffer.alloc(0x1000);
	const segments = [
		{ start: 0x1000n, end: 0x2000n, prot: 4, bytes },
		{ start: 0x3000n, end: 0x4000n, prot: 4, bytes },
	];
	const files = [{ start: 0x1000n, end: 0x2000n, offset: 0x5000n, path: "/bin/a" }];
	const kernel = memoryOf({ segments, files });
	expect(kernel.locate(at(0x1800n))).toMatchObject({ kind: "file", offset: 0x5800n, length: 0x800n });
	expect(kernel.locate(at(0x3800n))).toMatchObject({ kind: "core", length: 0x800n });
	expect(memoryOf({ segments, files, style: "gdb" }).locate(at(0x1800n)).kind).toBe("core");
});

test("more mappings than e_phnum can count are found in no time", () => {
	const count = 66_000;
	const start = (i: number): bigint => 0x10000n + BigInt(i) * 0x2000n;
	const segments = Array.from({ length: count }, (_, i) => ({ start: start(i), end: start(i) + 0x1000n, prot: i % 8 }));
	const built = buildCore({ threads: [{ tid: 1 }], segments: segments.toReversed(), xnum: true });
	const many = coreMemory(readCore(sparse("core", built, BigInt(count) << 12n)));
	expect(many.mappings).toHaveLength(count);
	for (let i = 0; i < count; i += 7) {
		expect(many.locate(at(start(i) + 0xff0n))).toEqual({ kind: "nothing", mapped: true, length: 0x10n });
	}
});
