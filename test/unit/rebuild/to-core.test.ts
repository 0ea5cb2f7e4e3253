import { describe, expect, it } from "vitest";
import { address, fileOffset, hex } from "../../../src/bytes/address.ts";
import { place, readAt } from "../../../src/bytes/extent.ts";
import { type ByteSource, fromBuffer } from "../../../src/bytes/source.ts";
import type { NewSegment } from "../../../src/core/new-core.ts";
import type { Finding } from "../../../src/finding.ts";
import type { Mapping, Memory } from "../../../src/forest/task.ts";
import { memoryForCore } from "../../../src/rebuild/memory.ts";
import {
	anonymous,
	content,
	inFile,
	inObject,
	mapping,
	PAGE,
	pagesFile,
	taskOf,
} from "../../support/builders/memory-task.ts";

const pages = pagesFile(8, 1);
const library = pagesFile(4, 2);
library.writeUInt32BE(0x7f454c46, 0);
const open = (path: string): ByteSource | undefined =>
	path === "/lib/here.so" ? fromBuffer(path, library) : undefined;

interface Made {
	readonly segments: readonly NewSegment[];
	readonly rows: readonly string[];
	readonly told: readonly string[];
}

function made(mappings: readonly Mapping[], rest: Partial<Pick<Memory, "contents" | "objects">> = {}): Made {
	const findings: Finding[] = [];
	const { memory } = taskOf({ mappings, ...rest });
	const { segments, files } = memoryForCore(memory, open, (finding) => void findings.push(finding));
	return {
		segments,
		rows: files.map(
			({ start, offset, path, deleted }) => `${hex(start)} ${offset} ${path}${deleted ? " deleted" : ""}`,
		),
		told: findings.map(({ weight, code, subject, text }) => `${weight} ${code} ${subject}: ${text}`),
	};
}

/** What a segment reads as. */
function bytesOf({ start, fileSize, contents }: NewSegment): Buffer {
	const bytes = Buffer.alloc(Number(fileSize));
	for (const { start: at, length, source, offset, available } of contents)
		source.read(offset, Number(available < length ? available : length))?.copy(bytes, Number(at - start));
	return bytes;
}

const page = (from: Buffer, number: number): Buffer => from.subarray(number * PAGE, (number + 1) * PAGE);

describe("the memory of a core", () => {
	it("has holes where anonymous memory was never touched, and nothing of what was not touched at all", () => {
		const { segments } = made([mapping(0x10000n, 3, anonymous), mapping(0x20000n, 3, anonymous)], {
			contents: [content(pages, 0x11000n, 1, 4)],
		});
		expect(segments.map(({ fileSize }) => fileSize)).toEqual([BigInt(3 * PAGE), 0n]);
		expect(segments.map(bytesOf)[0]).toEqual(Buffer.concat([Buffer.alloc(PAGE), page(pages, 4), Buffer.alloc(PAGE)]));
	});

	it("has all of a private file mapping that was changed, its unchanged pages from the file", () => {
		const { segments, rows, told } = made([mapping(0x10000n, 5, inFile("/lib/here.so", 1))], {
			contents: [content(pages, 0x11000n, 1, 0)],
		});
		// the fourth and fifth page lie behind the end of the file
		const expected = Buffer.concat([page(library, 1), page(pages, 0), page(library, 3), Buffer.alloc(2 * PAGE)]);
		expect(segments.map(bytesOf)).toEqual([expected]);
		expect({ rows, told }).toEqual({ rows: ["0x10000 4096 /lib/here.so"], told: [] });
	});

	it("has the first page of an ELF file, and nothing else that the file has too", () => {
		const { segments } = made([
			mapping(0x10000n, 2, inFile("/lib/here.so"), { prot: 1 }),
			mapping(0x20000n, 2, inFile("/lib/here.so", 1), { prot: 5 }),
			mapping(0x30000n, 2, inFile("/lib/here.so"), { prot: 0 }),
			mapping(0x40000n, 2, inFile("/lib/here.so"), { prot: 3, shared: true }),
		]);
		expect(segments.map(bytesOf)).toEqual([page(library, 0), ...Array(3).fill(Buffer.alloc(0))]);
	});

	it("tells what it lacks of a file that is not here", () => {
		const { segments, told } = made([mapping(0x10000n, 4, inFile("/lib/gone.so"))], {
			contents: [content(pages, 0x12000n, 1, 0)],
		});
		expect(segments.map(bytesOf)).toEqual([Buffer.concat([Buffer.alloc(2 * PAGE), page(pages, 0)])]);
		expect(told).toEqual(["loss contents-lost mapping 0x10000: 8192 bytes of /lib/gone.so, which is not here"]);
	});

	it("shows shared objects wherever they are mapped", () => {
		const objects = [
			{
				id: 1,
				name: "cache",
				size: BigInt(4 * PAGE),
				contents: [place(fileOffset(0x1000n), content(pages, 0n, 2, 0))],
			},
			{ id: 2, size: BigInt(PAGE), contents: [] },
		];
		const { segments, rows } = made(
			[
				mapping(0x10000n, 2, inObject(1), { shared: true }),
				mapping(0x20000n, 2, inObject(1, 1), { shared: true }),
				mapping(0x30000n, 1, inObject(2), { shared: true }),
			],
			{ objects },
		);
		expect(segments.map(bytesOf)).toEqual([
			Buffer.concat([Buffer.alloc(PAGE), page(pages, 0)]),
			Buffer.concat([page(pages, 0), page(pages, 1)]),
			Buffer.alloc(PAGE),
		]);
		expect(rows).toEqual([
			"0x10000 0 /memfd:cache deleted",
			"0x20000 4096 /memfd:cache deleted",
			"0x30000 0 /dev/zero deleted",
		]);
	});

	it("has room for what only the kernel shows, and tells what images do not hold", () => {
		const { segments, rows, told } = made([
			mapping(0x10000n, 4, { kind: "vvar" }, { prot: 1 }),
			mapping(0x14000n, 2, { kind: "vdso" }, { prot: 5 }),
			mapping(0x20000n, 1, { kind: "guard" }, { prot: 0 }),
			mapping(0x30000n, 1, { kind: "sysv", id: 7n, offset: fileOffset(0) }, { shared: true }),
			mapping(0x40000n, 1, { kind: "aio" }),
		]);
		expect(segments.map(({ fileSize, contents }) => [fileSize, contents.length])).toEqual([
			[BigInt(4 * PAGE), 0],
			[BigInt(2 * PAGE), 0],
			[0n, 0],
			[0n, 0],
		]);
		expect(rows).toEqual(["0x30000 0 /SYSV00000000 deleted", "0x40000 0 /[aio] deleted"]);
		expect(told).toEqual(["loss contents-lost mapping 0x30000: System V shared memory is not in images"]);
	});
});

describe("bytes of contents", () => {
	const contents = [content(pages, 0x10000n, 2, 0, PAGE + 10)];

	it("end in zeros where the source has no more", () => {
		expect(readAt(contents, address(0x11008n), 4)).toEqual(
			Buffer.concat([pages.subarray(PAGE + 8, PAGE + 10), Buffer.alloc(2)]),
		);
		expect(readAt(contents, address(0x11100n), 4)).toEqual(Buffer.alloc(4));
	});

	it("are unknown beyond them", () => {
		expect(readAt(contents, address(0x11ffen), 4)).toBeUndefined();
	});
});
