import { expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readNotes } from "../../../src/elf/notes.ts";
import { refusal } from "../../support/refusal.ts";

const note = (owner: string, type: number, desc: string, alignment = 4): Buffer => {
	const name = owner === "" ? Buffer.alloc(0) : Buffer.from(`${owner}\0`);
	const head = Buffer.alloc(12);
	head.writeUInt32LE(name.length, 0);
	head.writeUInt32LE(desc.length, 4);
	head.writeUInt32LE(type, 8);
	const pad = (bytes: Buffer): Buffer =>
		Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
	return pad(Buffer.concat([pad(Buffer.concat([head, name])), Buffer.from(desc)]));
};

const read = (bytes: Buffer, segments = [{ p_offset: 0n, p_filesz: BigInt(bytes.length) }], alignment: 4 | 8 = 4) =>
	[...readNotes(fromBuffer("core", bytes), segments, alignment)].map(({ owner, type, offset, size, read }) => {
		return `${owner}/${type}@${offset}+${size}:${read().toString()}`;
	});

test("names and descriptors of any length are padded to 4", () => {
	const bytes = Buffer.concat([note("CORE", 1, "abcde"), note("LINUX", 2, ""), note("", 3, "x"), note("A", 4, "wxyz")]);
	expect(read(bytes)).toEqual(["CORE/1@20+5:abcde", "LINUX/2@48+0:", "/3@60+1:x", "A/4@80+4:wxyz"]);
});

test("or to 8 where the segment says so", () => {
	const bytes = Buffer.concat([note("GNU", 5, "properties", 8), note("GNU", 3, "id", 8)]);
	expect(read(bytes, undefined, 8)).toEqual(["GNU/5@16+10:properties", "GNU/3@48+2:id"]);
});

test("several segments are read in their order", () => {
	const [a, b] = [note("A", 1, "a"), note("B", 2, "b")];
	const segments = [
		{ p_offset: BigInt(a.length), p_filesz: BigInt(b.length) },
		{ p_offset: 0n, p_filesz: BigInt(a.length) },
	];
	expect(read(Buffer.concat([a, b]), segments)).toEqual(["B/2@36+1:b", "A/1@16+1:a"]);
});

test("the last descriptor may lack its padding, and the segment end in zeros", () => {
	expect(read(note("A", 1, "abcde").subarray(0, -3))).toEqual(["A/1@16+5:abcde"]);
	expect(read(Buffer.concat([note("A", 1, "abcd"), Buffer.alloc(8)]))).toEqual(["A/1@16+4:abcd"]);
});

test("a descriptor larger than the read window is whole", () => {
	const desc = "0123456789".repeat(20_000);
	expect(read(Buffer.concat([note("A", 1, "a"), note("BIG", 2, desc)]))[1]).toBe(`BIG/2@36+200000:${desc}`);
});

test("read() copies: a later note does not change it", () => {
	const bytes = Buffer.concat([note("A", 1, "first"), note("A", 2, "again")]);
	const [first] = [...readNotes(fromBuffer("core", bytes), [{ p_offset: 0n, p_filesz: BigInt(bytes.length) }])];
	const copy = first?.read();
	bytes.fill(0);
	expect(copy?.toString()).toBe("first");
});

test("hostile sizes are refused", () => {
	const lying = (at: number, value: number): Buffer => {
		const bytes = note("CORE", 1, "abcd");
		bytes.writeUInt32LE(value, at);
		return bytes;
	};
	expect(refusal(() => read(lying(0, 0xffff_ffff)))).toBe(
		"ERR_CORE_CORRUPT core: note at 0x0 has a name of 4294967295 bytes, expected at most 256",
	);
	expect(refusal(() => read(lying(4, 0xffff_ffff)))).toBe(
		"ERR_CORE_CORRUPT core: note at 0x0 has 5 bytes of name and 4294967295 of content, expected it to end within its segment at 0x18",
	);
	expect(refusal(() => read(Buffer.concat([note("A", 1, ""), Buffer.from("junk")])))).toBe(
		"ERR_CORE_CORRUPT core: has 4 bytes after the last note at 0x10, expected a note of 12 or more",
	);
});

test("a segment beyond the file is refused as cut short", () => {
	const bytes = note("A", 1, "abcd");
	expect(refusal(() => read(bytes, [{ p_offset: 4n, p_filesz: 20n }]))).toMatch(
		/^ERR_CORE_TRUNCATED core: ends at 0x14 \(20 bytes\) inside the notes, expected at least 24 bytes; /,
	);
	expect(refusal(() => read(bytes, [{ p_offset: (1n << 64n) - 1n, p_filesz: (1n << 64n) - 1n }]))).toMatch(
		/^ERR_CORE_TRUNCATED core: ends at 0x14 \(20 bytes\) before the notes/,
	);
});

test("a flood of empty notes in segments that name the same bytes over and over ends", () => {
	const flood = Buffer.alloc(12 * 1000);
	const segments = Array.from({ length: 600 }, () => ({ p_offset: 0n, p_filesz: BigInt(flood.length) }));
	expect(refusal(() => [...readNotes(fromBuffer("core", flood), segments)])).toBe(
		"ERR_CORE_CORRUPT core: has more than 262144 notes, expected at most 262144 in 12000 bytes",
	);
});

test("more than 1 GiB of notes, if only by naming the same bytes, is refused", () => {
	const bytes = note("A", 1, "a".repeat(4_000_000));
	const segments = Array.from({ length: 300 }, () => ({ p_offset: 0n, p_filesz: BigInt(bytes.length) }));
	expect(refusal(() => [...readNotes(fromBuffer("core", bytes), segments)])).toBe(
		"ERR_CORE_CORRUPT core: has 1076004304 bytes of notes, expected at most 1073741824",
	);
});
