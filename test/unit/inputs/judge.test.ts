import { describe, expect, it } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { Verdict } from "../../../src/forest/verdict.ts";
import type { Expected } from "../../../src/inputs/expected.ts";
import { closedTo, NOT_HERE } from "../../../src/inputs/gone.ts";
import { judge, type OpenedFile, openedFile } from "../../../src/inputs/judge.ts";
import { debugOnly, program } from "../../support/builders/pair.ts";

const ID = "00112233445566778899aabbccddeeff00112233";
const OTHER_ID = "0123456789abcdef0123456789abcdef01234567";
const REGULAR = 0o100644;

const opened = (bytes: Buffer, more: Partial<OpenedFile> = {}): OpenedFile => ({
	...openedFile(fromBuffer("file", bytes)),
	...more,
});

/** The program without its build-id: the note belongs to somebody else. */
const bare = (byte = 1): Buffer => {
	const bytes = program("00", byte);
	bytes.write("XXX", 132, "latin1");
	return bytes;
};

/** What a core that holds the first page of a file tells of it. */
const begunBy = (bytes: Buffer): Expected => ({
	head: bytes.subarray(0, 120),
	beginning: (length) => bytes.subarray(0, length),
});

const wholly = { lastStart: 0x3000n, end: 0x4000n };
const different = (finding: string, expectation: string): Verdict => ({ kind: "different", finding, expectation });

describe("a file is the same", () => {
	it("by its build-id, the padding of images aside", () => {
		expect(judge({ buildId: ID, reach: wholly }, opened(program(ID, 1)))).toEqual({ kind: "same", proof: "build-id" });
		const short = "abcdef0123";
		expect(judge({ buildId: `${short}000000` }, opened(program(short, 1)))).toEqual({
			...{ kind: "same", proof: "build-id" },
		});
	});

	it("by its first page, where it has no build-id, and else by its headers", () => {
		expect(judge(begunBy(bare()), opened(bare(7)))).toEqual({ kind: "same", proof: "first-page" });
		const relinked = bare();
		relinked.writeUInt32LE(4711, 400);
		expect(judge(begunBy(relinked), opened(bare()))).toEqual({ kind: "same", proof: "headers" });
		const { beginning: _held, ...headed } = begunBy(bare());
		expect(judge(headed, opened(bare()))).toEqual({ kind: "same", proof: "headers" });
	});

	it("by its device, inode and birth", () => {
		const identity = { device: 1n, inode: 2n, birth: 3n };
		const data = Buffer.from("data");
		expect(judge({ identity }, opened(data, { identity }))).toEqual({ kind: "same", proof: "identity" });
		const reused = { ...identity, birth: 4n };
		expect(judge({ identity }, opened(data, { identity: reused }))).toEqual({ kind: "plausible", short: 0n });
		expect(judge({ identity, size: 5n }, opened(data, { identity }))).toEqual(different("has 4 bytes", "expected 5"));
	});

	it("by its look, where images tell no more", () => {
		const here = opened(Buffer.from("data"), { mode: REGULAR });
		expect(judge({ size: 4n }, here)).toEqual({ kind: "same", proof: "look" });
		expect(judge({ mode: REGULAR }, here)).toEqual({ kind: "same", proof: "look" });
	});
});

describe("a file is plausible", () => {
	it("where nothing is known of it", () => {
		expect(judge({}, opened(Buffer.from("data")))).toEqual({ kind: "plausible", short: 0n });
		expect(judge({ reach: { lastStart: 0n, end: 0x1000n } }, opened(Buffer.from("data")))).toMatchObject({ short: 0n });
	});

	it("where it ends within what was mapped, which a process may have seen", () => {
		const reach = { lastStart: 0n, end: 0x3000n };
		expect(judge({ reach }, opened(Buffer.alloc(100)))).toEqual({ kind: "plausible", short: 0x2000n });
		expect(judge({ reach, size: 100n }, opened(Buffer.alloc(100)))).toEqual({ kind: "plausible", short: 0x2000n });
	});
});

describe("a file is another one", () => {
	it.each<[string, Expected, OpenedFile, Verdict]>([
		["mode", { mode: REGULAR }, opened(bare(), { mode: 0o100600 }), different("has mode 0100600", "expected 0100644")],
		[
			"build-id",
			{ buildId: ID },
			opened(program(OTHER_ID, 1)),
			different(`has build-id ${OTHER_ID}`, `expected ${ID}`),
		],
		["none", { buildId: ID }, opened(bare()), different("has build-id none", `expected ${ID}`)],
		["no object", { buildId: ID }, opened(Buffer.from("#!/bin/sh")), different("has build-id none", `expected ${ID}`)],
		[
			...(["directory", { buildId: ID }] as const),
			opened(program(ID, 1), { mode: 0o040755 }),
			different("has build-id none", `expected ${ID}`),
		],
		[
			...(["debug information", { buildId: ID, hasCode: true }] as const),
			opened(debugOnly(ID)),
			different("holds debug information only", "expected the code too"),
		],
		[
			...(["headers", begunBy(bare())] as const),
			opened(Buffer.alloc(4096)),
			different("has other program headers", "expected those in the core, which has no build-id of it"),
		],
		[
			...(["shorter than its headers", begunBy(bare())] as const),
			opened(bare().subarray(0, 100)),
			different("has other program headers", "expected those in the core, which has no build-id of it"),
		],
		[
			...(["start", { start: { entryFromHeaders: 0n, headers: 11 } }] as const),
			opened(bare()),
			different("has 1 program headers", "expected 11 (AT_PHNUM)"),
		],
		["type", { waits: true }, opened(bare(), { mode: 0o010644 }), different("is a FIFO", "expected a file")],
		["size", { size: 4n }, opened(Buffer.alloc(5)), different("has 5 bytes", "expected 4")],
		[
			"size of that build",
			{ buildId: ID, size: 4n },
			opened(program(ID, 1)),
			different("has 16384 bytes", "expected 4"),
		],
		[
			...(["reach", { buildId: ID, reach: wholly }] as const),
			opened(program(ID, 1).subarray(0, 9000)),
			different("has 9000 bytes", "expected more: it was mapped up to byte 16384"),
		],
		[
			...(["reach of its last mapping", { reach: wholly }] as const),
			opened(Buffer.alloc(100)),
			different("has 100 bytes", "expected more: it was mapped up to byte 16384"),
		],
	])("by its %s", (_, expected, here, verdict) => {
		expect(judge(expected, here)).toEqual(verdict);
	});
});

it("a file that is not there, or closed, is gone, whatever was expected", () => {
	expect(judge({ buildId: ID }, NOT_HERE)).toEqual({ kind: "gone", why: "absent", because: "is not here" });
	const directory = { size: 4096n, mode: 0o040755, buildId: () => undefined };
	expect(judge({ isMapped: true, mode: 0o040755 }, directory)).toMatchObject({ because: "is no regular file here" });
	expect(judge({ isMapped: true }, { ...directory, mode: 0o020666 })).toEqual({ kind: "plausible", short: 0n });
	expect(judge({}, closedTo(1000, "EACCES"))).toMatchObject({ because: "may not be used by uid 1000 (EACCES)" });
});
