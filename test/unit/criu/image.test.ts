import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { FileOffset } from "../../../src/bytes/address.ts";
import { type ByteSource, fromBuffer } from "../../../src/bytes/source.ts";
import { encodeImage, type Image, pageCount, pagemapFlags, readImage } from "../../../src/criu/image.ts";
import { imageKinds, type KindName, kindOfFile } from "../../../src/criu/kinds.ts";
import { unknownFields } from "../../../src/criu/wire/protobuf.ts";
import { NecromancerError } from "../../../src/errors.ts";
import { refusal } from "../../support/refusal.ts";
import { bytes, COMMON, delimited, framed, imageBytes, number, SERVICE, word } from "../../support/witness/wire.ts";

const read = <K extends KindName>(kind: K, raw: Uint8Array, name = "x.img") => readImage(fromBuffer(name, raw), kind);
const whole = (image: Image): Buffer =>
	Buffer.concat(
		encodeImage(image).map((it) =>
			it instanceof Uint8Array ? it : (it.source.read(it.offset, Number(it.length)) ?? Buffer.of()),
		),
	);
const fields = (...parts: readonly (readonly number[])[]): number[] => parts.flat();
const text = (value: string): number[] => [...Buffer.from(value)];

// as CRIU 4.2 wrote them
const pstreeImage = bytes("19 43 56 54 30 30 27 50 0e 00 00 00 08 e2 2c 10 00 18 e2 2c 20 e2 2c 28 e2 2c");
const seccompImage = bytes("19 43 56 54 49 30 41 64 00 00 00 00");
const pagemapImage = bytes("19 43 56 54 25 40 08 56 02 00 00 00 08 02 0a 00 00 00 08 80 80 04 10 00 20 04 28 01");

describe("readImage", () => {
	it("reads records", () => {
		const image = read("pstree", pstreeImage);
		expect(image.kind).toBe(imageKinds.pstree);
		expect(image.records).toStrictEqual([{ value: { pid: 5730, ppid: 0, pgid: 5730, sid: 5730, threads: [5730] } }]);
		expect(whole(image)).toEqual(Buffer.from(pstreeImage));
	});

	it("reads an empty record, and no record", () => {
		expect(read("seccomp", seccompImage).records).toStrictEqual([{ value: { seccomp_filters: [] } }]);
		expect(read("files", imageBytes(imageKinds.files.magic)).records).toEqual([]);
		expect(whole(read("seccomp", seccompImage))).toEqual(Buffer.from(seccompImage));
	});

	it("reads a pagemap, whose first record is another one", () => {
		const image = read("pagemap", pagemapImage);
		expect(image.head).toEqual({ pages_id: 2 });
		expect(image.records).toStrictEqual([{ value: { vaddr: 0x10000n, compat_nr_pages: 0, flags: 4, nr_pages: 1n } }]);
		expect(whole(image)).toEqual(Buffer.from(pagemapImage));
	});

	it("reads statistics, a service image, and the inventory, which has one magic", () => {
		const stats = Buffer.from([...word(SERVICE), ...word(0x57093306), ...framed([])]);
		expect(read("stats", stats).records).toStrictEqual([{ value: {} }]);
		const inventory = Buffer.from([...word(0x58313116), ...framed(number(1, 2))]);
		expect(read("inventory", inventory).records).toStrictEqual([{ value: { img_version: 2 } }]);
		expect(whole(read("inventory", inventory))).toEqual(inventory);
	});
});

const desc = delimited(1, fields(...[1, 2, 3, 4, 5, 6, 7].map((id) => number(id, id))));
const time = fields(number(1, 1), number(2, 1), number(3, 0o100644));

/** An image of each kind that has payloads, with the payloads as they stand in the file. */
const payloads: readonly { kind: KindName; raw: Buffer; extras: readonly (readonly number[])[] }[] = [
	{
		kind: "pipes-data",
		raw: imageBytes(
			imageKinds["pipes-data"].magic,
			framed(fields(number(1, 9), number(2, 3))),
			text("abc"),
			framed(fields(number(1, 8), number(2, 0))),
		),
		extras: [text("abc"), []],
	},
	{
		kind: "fifo-data",
		raw: imageBytes(imageKinds["fifo-data"].magic, framed(fields(number(1, 9), number(2, 1))), text("f")),
		extras: [text("f")],
	},
	{
		kind: "sk-queues",
		raw: imageBytes(imageKinds["sk-queues"].magic, framed(fields(number(1, 9), number(2, 2))), text("pq")),
		extras: [text("pq")],
	},
	{
		kind: "tcp-stream",
		raw: imageBytes(
			imageKinds["tcp-stream"].magic,
			framed(fields(number(1, 2), number(2, 0), number(3, 3), number(4, 0), number(5, 0), number(6, 0), number(7, 0))),
			text("inout"),
		),
		extras: [text("inout")],
	},
	{
		kind: "ghost-file",
		raw: imageBytes(imageKinds["ghost-file"].magic, framed(time), text("to the end")),
		extras: [text("to the end")],
	},
	{
		kind: "ghost-file",
		raw: imageBytes(
			imageKinds["ghost-file"].magic,
			framed(fields(time, number(9, 1))),
			framed(fields(number(1, 2), number(2, 0))),
			text("ab"),
			framed(fields(number(1, 1), number(2, 4096))),
			text("c"),
		),
		extras: [
			[
				...framed(fields(number(1, 2), number(2, 0))),
				...text("ab"),
				...framed(fields(number(1, 1), number(2, 4096))),
				...text("c"),
			],
		],
	},
	{
		kind: "ipcns-sem",
		raw: imageBytes(imageKinds["ipcns-sem"].magic, framed(fields(desc, number(2, 3))), [1, 0, 2, 0, 3, 0, 0, 0]),
		extras: [[1, 0, 2, 0, 3, 0, 0, 0]],
	},
	{
		kind: "ipcns-msg",
		raw: imageBytes(
			imageKinds["ipcns-msg"].magic,
			framed(fields(desc, number(2, 100), number(3, 2))),
			framed(fields(number(1, 1), number(2, 5))),
			text("hello\0\0\0"),
			framed(fields(number(1, 1), number(2, 0))),
			framed(fields(desc, number(2, 100), number(3, 0))),
		),
		extras: [
			[
				...framed(fields(number(1, 1), number(2, 5))),
				...text("hello\0\0\0"),
				...framed(fields(number(1, 1), number(2, 0))),
			],
			[],
		],
	},
	{
		kind: "ipcns-shm",
		raw: imageBytes(
			imageKinds["ipcns-shm"].magic,
			framed(fields(desc, number(2, 5))),
			text("12345\0\0\0"),
			framed(fields(desc, number(2, 4096), number(3, 1))),
		),
		extras: [text("12345\0\0\0"), []],
	},
	{
		kind: "bpfmap-data",
		raw: imageBytes(
			imageKinds["bpfmap-data"].magic,
			framed(fields(number(1, 1), number(2, 1), number(3, 2), number(4, 1))),
			text("kvv"),
		),
		extras: [text("kvv")],
	},
];

describe("what lies behind records", () => {
	it.each(payloads)("of $kind is found and written back", ({ kind, raw, extras }) => {
		const source = fromBuffer("x.img", raw);
		const image = readImage(source, kind);
		expect(
			image.records.map(({ extra }) =>
				extra === undefined ? [] : [...(source.read(extra.offset, Number(extra.length)) ?? [])],
			),
		).toEqual(extras);
		expect(whole(image)).toEqual(raw);
	});

	it.each(payloads)("of $kind: a cut is refused at every byte, or leaves whole records", ({ kind, raw }) => {
		const complete = cuts(raw, kind);
		// a ghost file without chunks reaches to the end of its image, wherever that is
		if (raw.toString("latin1").endsWith("to the end"))
			expect(complete).toEqual([8, ...range(raw.length - 10, raw.length)]);
		else expect(complete.length).toBeLessThanOrEqual(3);
	});

	it("is not read: its length is all that counts", () => {
		const raw = imageBytes(imageKinds["pipes-data"].magic, framed(fields(number(1, 9), number(2, 0xffff_0000))));
		const sparse: ByteSource = {
			name: "sparse",
			size: BigInt(raw.length) + 0xffff_0000n,
			read: (offset, length) =>
				Number(offset) < 4096
					? Buffer.concat([raw, Buffer.alloc(1 << 17)]).subarray(Number(offset), Number(offset) + length)
					: undefined,
			close: () => {},
		};
		expect(readImage(sparse, "pipes-data").records[0]?.extra?.length).toBe(0xffff_0000n);
	});

	it("must fit its record when it is written", () => {
		const kind = imageKinds["pipes-data"];
		const extra = { source: fromBuffer("p", bytes("61")), offset: 0n as FileOffset, length: 1n, available: 1n };
		expect(() => encodeImage({ kind, records: [{ value: { pipe_id: 1, bytes: 2 }, extra }] })).toThrow(
			new RangeError("1 bytes behind a pipe_data_entry that counts 2"),
		);
		expect(() => encodeImage({ kind: imageKinds.fs, records: [{ value: { cwd_id: 1, root_id: 2 }, extra }] })).toThrow(
			new RangeError("1 bytes behind a fs_entry that counts 0"),
		);
	});
});

describe("truncation", () => {
	const folder = new URL("../../../fixtures/counter-static/images/", import.meta.url);
	const files = readdirSync(folder).filter((name) => kindOfFile(name) !== undefined);

	it.each(files)("of %s is refused at every byte, or leaves whole records", (name) => {
		const raw = readFileSync(new URL(name, folder));
		const kind = kindOfFile(name) ?? imageKinds.inventory;
		const records = readImage(fromBuffer(name, raw), kind.name).records.length;
		// after the header (a pagemap's head included) and after each record but the last, which is no cut
		expect(cuts(raw, kind.name).length).toBe(records);
	});
});

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

/** The lengths at which a cut image is still one. Everything else must be refused, and as nothing but truncated. */
function cuts(raw: Buffer, kind: KindName): number[] {
	return range(0, raw.length).filter((length) => {
		try {
			readImage(fromBuffer("cut.img", raw.subarray(0, length)), kind);
			return true;
		} catch (error) {
			if (!(error instanceof NecromancerError)) throw error;
			expect(error.code).toBe("ERR_IMAGE_TRUNCATED");
			return false;
		}
	});
}

describe("what readImage refuses", () => {
	it.each<[string, KindName, Uint8Array, string]>([
		[
			"no byte",
			"core",
			Uint8Array.of(),
			"ERR_IMAGE_TRUNCATED x.img: ends at 0x0, inside its header; copy or dump it again",
		],
		[
			"half a header",
			"core",
			bytes("19 43 56 54 47"),
			"ERR_IMAGE_TRUNCATED x.img: ends at 0x5, inside its header; copy or dump it again",
		],
		[
			"another kind",
			"core",
			pstreeImage,
			"ERR_IMAGE_MAGIC x.img: is an image of kind pstree, expected core (0x54564319 0x55053847)",
		],
		[
			"another file",
			"core",
			Buffer.from("\x7fELF\x02\x01\x01\0"),
			"ERR_IMAGE_MAGIC x.img: starts with 0x464c457f, expected core (0x54564319 0x55053847)",
		],
		[
			"a kind unknown to us",
			"core",
			imageBytes(1),
			"ERR_IMAGE_MAGIC x.img: starts with 0x54564319 0x1, expected core (0x54564319 0x55053847)",
		],
		[
			"a kind we do not read",
			"core",
			imageBytes(0x55933752),
			"ERR_IMAGE_MAGIC x.img: is an image of kind netns, expected core (0x54564319 0x55053847)",
		],
		[
			"the inventory in another's place",
			"core",
			Uint8Array.from([...word(0x58313116), ...framed(number(1, 2))]),
			"ERR_IMAGE_MAGIC x.img: is an image of kind inventory, expected core (0x54564319 0x55053847)",
		],
		[
			"another in the inventory's",
			"inventory",
			pstreeImage,
			"ERR_IMAGE_MAGIC x.img: is an image of kind pstree, expected inventory (0x58313116)",
		],
		[
			"statistics that are no service image",
			"stats",
			imageBytes(0x57093306),
			"ERR_IMAGE_MAGIC x.img: starts with 0x54564319 0x57093306, expected stats (0x55105940 0x57093306)",
		],
		[
			"format 1",
			"pstree",
			pstreeImage.subarray(4),
			"ERR_IMAGE_VERSION x.img: is of image format 1, without the common magic, expected format 1.1; dump the donor again with a current CRIU",
		],
		[
			"half a length",
			"fs",
			imageBytes(0x51403912, [1, 0]),
			"ERR_IMAGE_TRUNCATED x.img: ends at 0xa, inside the length of the record at 0x8; copy or dump it again",
		],
		[
			"a record beyond the end",
			"fs",
			imageBytes(0x51403912, word(5), [8, 1]),
			"ERR_IMAGE_TRUNCATED x.img: the record at 0x8 is 5 bytes, but only 2 are left; copy or dump it again",
		],
		[
			"a damaged record",
			"fs",
			imageBytes(0x51403912, framed(number(1, 1))),
			"ERR_IMAGE_CORRUPT x.img at 0x8: fs_entry at +0x0 lacks its required field root_id",
		],
		[
			"a payload beyond the end",
			"pipes-data",
			imageBytes(0x56453709, framed(fields(number(1, 1), number(2, 4))), [1]),
			"ERR_IMAGE_TRUNCATED x.img: 4 bytes should lie at 0x10, but only 1 are left; copy or dump it again",
		],
		[
			"a chunk of 2^64-1 bytes",
			"ghost-file",
			imageBytes(
				0x52583605,
				framed(fields(time, number(9, 1))),
				framed(fields(number(1, 2n ** 64n - 1n), number(2, 0))),
			),
			"ERR_IMAGE_TRUNCATED x.img: 18446744073709551615 bytes should lie at 0x27, but only 0 are left; copy or dump it again",
		],
		[
			"a message queue that promises four thousand million",
			"ipcns-msg",
			imageBytes(0x55453737, framed(fields(desc, number(2, 1), number(3, 0xffff_ffff)))),
			"ERR_IMAGE_TRUNCATED x.img: ends at 0x24, inside the length of the record at 0x24; copy or dump it again",
		],
		[
			"a pagemap without its head",
			"pagemap",
			imageBytes(0x56084025),
			"ERR_IMAGE_TRUNCATED x.img: ends at 0x8, inside the length of the record at 0x8; copy or dump it again",
		],
	])("%s", (_, kind, raw, message) => {
		expect(refusal(() => read(kind, raw))).toBe(message);
	});

	/** A file that is larger than anything we would make for a test: it holds `raw`, then zeros. */
	const huge = (raw: Buffer, size: bigint): ByteSource => ({
		name: "huge.img",
		size,
		read: (offset, length) => {
			expect(length).toBeLessThanOrEqual(1 << 26);
			const part = Buffer.alloc(length);
			if (offset < BigInt(raw.length)) raw.copy(part, 0, Number(offset));
			return part;
		},
		close: () => {},
	});

	it("a record of a gigabyte, before it is read", () => {
		const source = huge(imageBytes(0x51403912, word(1 << 30)), 1n << 40n);
		expect(refusal(() => readImage(source, "fs"))).toBe(
			"ERR_IMAGE_CORRUPT huge.img: the record at 0x8 is 1073741824 bytes, expected at most 67108864",
		);
	});

	it("empty records without end", () => {
		const source = huge(imageBytes(0x64413049), 1n << 40n);
		expect(refusal(() => readImage(source, "seccomp"))).toBe(
			"ERR_IMAGE_CORRUPT huge.img: holds too many records, expected at most 524288",
		);
	});

	it("a file that shrinks meanwhile", () => {
		const source: ByteSource = { name: "s.img", size: 100n, read: () => undefined, close: () => {} };
		expect(refusal(() => readImage(source, "fs"))).toBe(
			"ERR_IMAGE_TRUNCATED s.img: shrank below 100 bytes, expected it to stay; copy or dump it again",
		);
	});
});

describe("pagemaps", () => {
	const pagemap = (...records: readonly (readonly number[])[]): Buffer =>
		imageBytes(imageKinds.pagemap.magic, framed(number(1, 1)), ...records.map(framed));
	const entry = (...more: readonly (readonly number[])[]): number[] => fields(number(1, 0x1000), number(2, 3), ...more);

	it("count pages in either field", () => {
		const counts = read("pagemap", pagemap(entry(), entry(number(5, 7)), entry(number(5, 0)))).records;
		expect(counts.map(({ value }) => pageCount(value))).toEqual([3n, 7n, 0n]);
	});

	it("have flags, or the meaning of none", () => {
		const flags = read(
			"pagemap",
			pagemap(entry(), entry(number(3, 1)), entry(number(3, 0)), entry(number(4, 6))),
		).records;
		expect(flags.map(({ value }) => pagemapFlags(value))).toEqual([4, 1, 4, 6]);
	});

	const known = "expected pages as CRIU 4.2 lays them out; dump without compressing pages, or with CRIU 4.2";
	it.each([
		[
			"an entry with a field more",
			pagemap(entry(), entry(number(6, 812))),
			`at 0x17: the pagemap has field 6, which this version does not know, ${known}`,
		],
		[
			"a flag more",
			pagemap(entry(number(4, 12))),
			`at 0xe: the pagemap has flags 0xc, which this version does not know, ${known}`,
		],
		[
			"a head with a field more",
			imageBytes(imageKinds.pagemap.magic, framed(fields(number(1, 1), number(2, 1)))),
			`at 0x8: the pagemap has field 2, which this version does not know, ${known}`,
		],
	])("of a layout we do not know are refused: %s", (_, raw, message) => {
		expect(refusal(() => read("pagemap", raw))).toBe(`ERR_IMAGE_VERSION x.img ${message}`);
	});
});

describe("encodeImage", () => {
	it("wants a head for pagemaps and for nothing else", () => {
		expect(() => encodeImage({ kind: imageKinds.pagemap, records: [] })).toThrow(
			new RangeError("a head does not fit pagemap"),
		);
		expect(() => encodeImage({ kind: imageKinds.fs, head: { pages_id: 1 }, records: [] })).toThrow(
			new RangeError("a head does not fit fs"),
		);
	});

	it("keeps unknown fields of an edited record", () => {
		const raw = imageBytes(imageKinds.fs.magic, framed(fields(number(1, 1), number(2, 2), number(9, 9))));
		const image = read("fs", raw);
		const records = image.records.map(({ value }) => ({ value: { ...value, umask: 0o22 } }));
		expect(records[0]?.value[unknownFields]).toHaveLength(1);
		expect(whole({ ...image, records })).toEqual(
			imageBytes(imageKinds.fs.magic, framed(fields(number(1, 1), number(2, 2), number(3, 0o22), number(9, 9)))),
		);
	});

	it("makes an image that was never read", () => {
		expect(whole({ kind: imageKinds.seccomp, records: [{ value: { seccomp_filters: [] } }] })).toEqual(
			Buffer.from([...word(COMMON), ...word(0x64413049), 0, 0, 0, 0]),
		);
	});
});
