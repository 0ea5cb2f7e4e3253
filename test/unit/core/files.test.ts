import { expect, test } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { isKernelOwned, readFileNote } from "../../../src/core/files.ts";
import { refusal } from "../../support/refusal.ts";

const note = (count: bigint, unit: bigint, rows: readonly bigint[], names: string): Buffer => {
	const head = Buffer.alloc(16 + 8 * rows.length);
	for (const [i, value] of [count, unit, ...rows].entries()) head.writeBigUInt64LE(value, 8 * i);
	return Buffer.concat([head, Buffer.from(names, "latin1")]);
};

const read = (bytes: Buffer) => readFileNote(bytes, "core", fileOffset(0x600));

test("rows are sorted, offsets are bytes, deleted files are marked", () => {
	const rows = [0x9000n, 0xa000n, 3n, 0x1000n, 0x3000n, 0n];
	expect(read(note(2n, 4096n, rows, "/lib/b.so (deleted)\0/bin/a\0"))).toEqual({
		files: [
			{ start: 0x1000n, end: 0x3000n, offset: 0n, path: "/bin/a", deleted: false },
			{ start: 0x9000n, end: 0xa000n, offset: 0x3000n, path: "/lib/b.so", deleted: true },
		],
		pageSize: 4096n,
	});
});

test("gdb's offsets count in bytes: its page size is 1", () => {
	expect(read(note(1n, 1n, [0x1000n, 0x2000n, 0x26000n], "/lib/c\0")).files[0]?.offset).toBe(0x26000n);
});

test("names that are not UTF-8 survive", () => {
	expect(read(note(1n, 4096n, [0x1000n, 0x2000n, 0n], "/tmp/caf\xe9\0")).files[0]?.path).toBe("/tmp/caf\udce9");
});

test.each([
	[
		note(0xffff_ffff_ffffn, 4096n, [], "/a\0"),
		"NT_FILE at 0x600 claims 281474976710655 rows, expected at most 0 in its 19 bytes",
	],
	[
		note(2n, 4096n, [0x1000n, 0x2000n, 0n, 0x2000n, 0x3000n, 1n], "/only-one-name\0"),
		"NT_FILE at 0x600 has 0 bytes left at its byte 79, expected 1",
	],
	[
		note(1n, 4096n, [0x1000n, 0x1000n, 0n], "/a\0"),
		"NT_FILE row 0x1000-0x1000 (/a) is no range of pages, expected start below end, both aligned",
	],
	[
		note(1n, 4096n, [0x1001n, 0x2000n, 0n], "/a\0"),
		"NT_FILE row 0x1001-0x2000 (/a) is no range of pages, expected start below end, both aligned",
	],
	[
		note(1n, 4096n, [0x1000n, 0x2000n, 1n << 60n], "/a\0"),
		"NT_FILE row 0x1000-0x2000 (/a) lies at file offset 0x1000000000000000000, expected one below 2^64",
	],
	[
		note(2n, 4096n, [0x1000n, 0x3000n, 0n, 0x2000n, 0x4000n, 0n], "/a\0/b\0"),
		"NT_FILE rows 0x1000-0x3000 and 0x2000-0x4000 overlap, expected distinct mappings",
	],
	[
		note(1n, 4096n, [0x1000n, 0x3000n, 0n], `${"/a".repeat(40_000)}\0`),
		"NT_FILE row 0x1000-0x3000 has a name of 80000 bytes, expected at most 65536",
	],
])("a note that lies is refused %#", (bytes, message) => {
	expect(refusal(() => read(bytes))).toBe(`ERR_CORE_CORRUPT core: ${message}`);
});

test("a note cut in its rows or its head is refused", () => {
	expect(refusal(() => read(Buffer.alloc(15)))).toBe(
		"ERR_CORE_CORRUPT core: NT_FILE at 0x600 has 15 bytes left at its byte 0, expected 16",
	);
});

test("what the kernel names for itself has no file", () => {
	const owned = (path: string, deleted = true) => isKernelOwned({ path, deleted });
	for (const path of ["/memfd:jit", "/SYSV00000000", "/dev/zero", "/anon_hugepage", "/[aio]"])
		expect(owned(path)).toBe(true);
	expect(owned("anon_inode:[perf_event]", false)).toBe(true);
	for (const path of ["/dev/zero", "/memfd:honest", "/usr/bin/perl"]) expect(owned(path, false)).toBe(false);
	for (const path of ["/usr/lib/libssl.so.3", "/dev/shm/sem.x", "/SYSVnot"]) expect(owned(path)).toBe(false);
});
