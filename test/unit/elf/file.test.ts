import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import {
	aCore,
	anObject,
	elf64Ehdr,
	elf64Phdr,
	elf64Shdr,
	readElfHeader,
	readProgramHeaders,
} from "../../../src/elf/file.ts";
import { buildCore } from "../../support/builders/core-builder.ts";
import { refusal } from "../../support/refusal.ts";

const small = (): Buffer =>
	buildCore({
		threads: [{ tid: 7 }],
		segments: [{ start: 0x1000n, end: 0x2000n, prot: 3, bytes: Buffer.alloc(4096, 1) }],
	});

const changed = (at: number, ...bytes: number[]): Buffer => {
	const core = small();
	core.set(bytes, at);
	return core;
};

const headerOf = (bytes: Uint8Array, wanted = aCore) => readElfHeader(fromBuffer("core", bytes), wanted);

const headersOf = (bytes: Uint8Array) => [...readProgramHeaders(fromBuffer("core", bytes), headerOf(bytes))];

test("the structures have the sizes of elf(5)", () => {
	expect([elf64Ehdr.size, elf64Phdr.size, elf64Shdr.size]).toEqual([64, 56, 64]);
});

test("a core's header and program headers are read", () => {
	expect(headerOf(small())).toMatchObject({ e_type: 4, e_machine: 62, e_phoff: 64n, e_phnum: 2 });
	expect(
		headersOf(small()).map(({ p_type, p_flags, p_vaddr, p_filesz }) => [p_type, p_flags, p_vaddr, p_filesz]),
	).toEqual([
		[4, 0, 0n, expect.any(BigInt)],
		[1, 6, 0x1000n, 4096n],
	]);
});

describe("what is no x86-64 core is refused with what it is", () => {
	test.each([
		["", "is empty, expected an ELF file (7f 45 4c 46)"],
		["7f454c", "starts with 7f 45 4c, expected an ELF file (7f 45 4c 46)"],
		["23212f62", "starts with 23 21 2f 62, expected an ELF file (7f 45 4c 46)"],
		["28b52ffd00", "is compressed with zstd, expected an ELF file (7f 45 4c 46); decompress it first: zstd -d"],
		["1f8b080000", "is compressed with gzip, expected an ELF file (7f 45 4c 46); decompress it first: gzip -d"],
	])("%s", (bytes, message) => {
		expect(refusal(() => headerOf(Buffer.from(bytes, "hex")))).toBe(`ERR_CORE_MAGIC core: ${message}`);
	});

	test.each([
		[changed(4, 1), "is a 32-bit ELF file"],
		[changed(4, 9), "has ELF class 9"],
		[changed(5, 2), "is big-endian"],
		[changed(18, 183, 0), "is for AArch64"],
		[changed(18, 0x11, 0x27), "is for machine 10001"],
		[changed(16, 3), "is an executable or shared library"],
		[changed(16, 2), "is an executable"],
		[changed(16, 77), "has ELF type 77"],
	])("%#", (bytes, finding) => {
		expect(refusal(() => headerOf(bytes))).toBe(`ERR_CORE_KIND core: ${finding}, expected an x86-64 core`);
	});

	test("a core where an object is wanted", () => {
		expect(refusal(() => headerOf(small(), anObject))).toBe(
			"ERR_CORE_KIND core: is a core, expected an x86-64 executable or library",
		);
	});
});

const remedy =
	"the dump was cut short: raise RLIMIT_CORE (ulimit -c unlimited) or make room on the disk, and dump again";

test("a header or program headers that are cut name the byte", () => {
	expect(refusal(() => headerOf(small().subarray(0, 63)))).toBe(
		`ERR_CORE_TRUNCATED core: ends at 0x3f (63 bytes) inside the ELF header, expected at least 64 bytes; ${remedy}`,
	);
	expect(refusal(() => headersOf(small().subarray(0, 100)))).toBe(
		`ERR_CORE_TRUNCATED core: ends at 0x64 (100 bytes) inside the 2 program headers, expected at least 176 bytes; ${remedy}`,
	);
});

test("program headers of another size are refused", () => {
	expect(refusal(() => headerOf(changed(54, 32)))).toBe(
		"ERR_CORE_CORRUPT core: has program headers of 32 bytes, expected 56",
	);
});

describe("PN_XNUM: more than 65,534 program headers", () => {
	test("their count comes from section header 0", () => {
		const core = buildCore({ threads: [{ tid: 7 }], xnum: true });
		expect(core.readUInt16LE(56)).toBe(0xffff);
		expect(headersOf(core)).toHaveLength(1);
	});

	test("a count that lies is refused before anything is read", () => {
		const core = buildCore({ threads: [{ tid: 7 }], xnum: true });
		const count = core.length - 64 + 44;
		core.writeUInt32LE(0xffffffff, count);
		expect(refusal(() => headersOf(core))).toBe(
			`ERR_CORE_CORRUPT core: claims 4294967295 program headers, expected at most 65600 in ${core.length} bytes`,
		);
		core.writeUInt32LE(65_600, count);
		expect(refusal(() => headersOf(core))).toBe(
			`ERR_CORE_TRUNCATED core: ends at 0x${core.length.toString(16)} (${core.length} bytes) inside the 65600 program headers, ` +
				`expected at least 3673664 bytes; ${remedy}`,
		);
	});

	test("a section header that is missing or beyond the end is refused", () => {
		const none = changed(56, 0xff, 0xff);
		expect(refusal(() => headersOf(none))).toBe(
			"ERR_CORE_CORRUPT core: has more than 65534 program headers but no section header, " +
				"expected their count in section header 0",
		);
		none.writeBigUInt64LE(0xffff_ffff_ffff_fff0n, 40);
		expect(refusal(() => headersOf(none))).toMatch(/^ERR_CORE_TRUNCATED core: ends at .* inside the section header/);
	});
});
