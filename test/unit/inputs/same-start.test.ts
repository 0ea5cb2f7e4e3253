import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { otherStart } from "../../../src/inputs/same-start.ts";

const P = 4096;

/** An ELF file by elf(5): two segments, the headers in the first, a page of data at offset 8192 in the second. */
function object({ entry = 0x1040, data = (i: number) => 0x2000 + 8 * i } = {}): Buffer {
	const file = Buffer.alloc(3 * P);
	file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
	file.writeUInt16LE(3, 16);
	file.writeUInt16LE(62, 18);
	file.writeUInt32LE(1, 20);
	file.writeBigUInt64LE(BigInt(entry), 24);
	file.writeBigUInt64LE(64n, 32);
	for (const [at, value] of [
		[52, 64],
		[54, 56],
		[56, 2],
	] as const)
		file.writeUInt16LE(value, at);
	for (const [i, offset] of [0, 2 * P].entries()) {
		const at = 64 + 56 * i;
		file.writeUInt32LE(1, at);
		for (const [j, word] of [offset, offset, offset, i === 0 ? 2 * P : P, i === 0 ? 2 * P : P, P].entries())
			file.writeBigUInt64LE(BigInt(word), at + 8 + 8 * j);
	}
	for (let i = 0; i < 64; i++) file.writeBigUInt64LE(BigInt(data(i)), 2 * P + 8 * i);
	return file;
}

const BASE = 0x5555_5555_4000n;

/** The page of data as it lay in memory, moved with the file. */
function moved(file: Buffer, changes: (i: number) => boolean = () => false): Buffer {
	const page = Buffer.from(file.subarray(2 * P, 3 * P));
	for (let i = 0; i < 64; i++) {
		const word = page.readBigUInt64LE(8 * i);
		page.writeBigUInt64LE(changes(i) ? 0x7f00_1234_5678n : word + BASE, 8 * i);
	}
	return page;
}

const source = (file: Buffer) => fromBuffer("program", file);
const start = { entryFromHeaders: BigInt(0x1040 - 64), headers: 2 };
const relocated = (page: Buffer) => ({ base: BASE, pages: [{ offset: BigInt(2 * P), read: () => page }] });

describe("a file of which the core holds no header", () => {
	test("is not the program where the kernel started another", () => {
		expect(otherStart({ start }, source(object()))).toBeUndefined();
		expect(otherStart({ start }, source(object({ entry: 0x1050 })))).toEqual({
			finding: "begins 4112 bytes behind its program headers",
			expectation: "expected 4096 (AT_ENTRY, AT_PHDR)",
		});
		expect(otherStart({ start: { ...start, headers: 11 } }, source(object()))).toEqual({
			finding: "has 2 program headers",
			expectation: "expected 11 (AT_PHNUM)",
		});
	});

	test("is not the library whose data was relocated", () => {
		const other = object({ data: (i) => 0x2100 + 24 * i });
		expect(otherStart({ relocated: relocated(moved(object())) }, source(object()))).toBeUndefined();
		expect(otherStart({ relocated: relocated(moved(object())) }, source(other))).toEqual({
			finding: "has other data where the dynamic linker relocates it (64 of 64 words)",
			expectation: "expected that of the dead process",
		});
	});

	test("is not the library that has another dynamic section, be it by a word", () => {
		// DT_FINI, DT_STRSZ, DT_DEBUG, in the middle of the page
		const file = (fini: number, size: number): Buffer => {
			const made = object();
			made.writeUInt16LE(3, 56);
			const at = 64 + 2 * 56;
			made.writeUInt32LE(2, at);
			for (const [j, word] of [2 * P + 64, 2 * P + 64, 2 * P + 64, 64, 64, 8].entries())
				made.writeBigUInt64LE(BigInt(word), at + 8 + 8 * j);
			for (const [i, word] of [13, fini, 10, size, 21, 0, 0, 0].entries())
				made.writeBigUInt64LE(BigInt(word), 2 * P + 64 + 8 * i);
			return made;
		};
		const page = moved(object());
		file(0x1500, 77).copy(page, 64, 2 * P + 64, 2 * P + 128);
		// the dynamic linker's list, and an address that an old glibc moved
		page.writeBigUInt64LE(0x7f00_0000_1000n, 64 + 40);
		for (const fini of [0x1500n, 0x1500n + BASE]) {
			page.writeBigUInt64LE(fini, 64 + 8);
			expect(otherStart({ relocated: relocated(page) }, source(file(0x1500, 77)))).toBeUndefined();
			for (const other of [file(0x1510, 77), file(0x1500, 78)])
				expect(otherStart({ relocated: relocated(page) }, source(other))).toEqual({
					finding: "has another dynamic section",
					expectation: "expected that of the dead process, which says where each part of its file is",
				});
		}
	});

	test("may have slots that were bound to code elsewhere", () => {
		const page = moved(object(), (i) => i % 3 === 0);
		expect(otherStart({ relocated: relocated(page) }, source(object()))).toBeUndefined();
	});

	test("is judged by others where it is no whole object", () => {
		expect(
			otherStart({ start, relocated: relocated(Buffer.alloc(P)) }, source(Buffer.from("#!/bin/sh"))),
		).toBeUndefined();
	});
});
