import { expect, it } from "vitest";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { touchedOf } from "../../../src/dump/contents.ts";
import type { Classified } from "../../../src/dump/mappings.ts";
import type { Mapping } from "../../../src/forest/task.ts";

const memory = fromBuffer("/proc/1/mem", new Uint8Array());
const anonymous: Mapping["backing"] = { kind: "anonymous" };
const file: Mapping["backing"] = { kind: "file", path: "/lib", offset: fileOffset(0), writable: false };
const DROPPABLE = 0x8;

/** Pages from a number up to another, in mappings of the same numbers. */
const mapping = (
	from: number,
	to: number,
	backing: Mapping["backing"] = anonymous,
	more: Partial<Mapping> = {},
): Classified => ({
	entry: {} as never,
	mapping: {
		...{ start: address(BigInt(from) << 12n), end: address(BigInt(to) << 12n), prot: 3, shared: false, backing },
		...{ flags: 0, advice: 0n },
		...more,
	},
});
const pages = (from: number, to: number, { ofFile = false, guard = false } = {}) => ({
	...{ start: address(BigInt(from) << 12n), end: address(BigInt(to) << 12n), ofFile, guard },
});
const numbers = (ranges: readonly { readonly start: bigint; readonly length?: bigint; readonly end?: bigint }[]) =>
	ranges.map(({ start, length, end }) => [Number(start >> 12n), Number((end ?? start + (length ?? 0n)) >> 12n)]);

it("takes private pages that were written, cut at the borders of mappings", () => {
	const found = touchedOf(
		[mapping(1, 4), mapping(4, 8), mapping(20, 30)],
		[pages(2, 6), pages(7, 8), pages(25, 26)],
		memory,
	);
	expect(numbers(found.contents)).toEqual([
		[2, 4],
		[4, 6],
		[7, 8],
		[25, 26],
	]);
	expect(found.contents[0]).toEqual({
		...{ start: 0x2000n, length: 0x2000n, source: memory, offset: 0x2000n, available: 0x2000n },
	});
});

it("leaves to files, shared memory and droppable memory what is theirs", () => {
	const mappings = [
		mapping(1, 5, file),
		mapping(5, 9, anonymous, { shared: true }),
		mapping(9, 12, anonymous, { flags: DROPPABLE }),
	];
	const found = touchedOf(mappings, [pages(1, 3, { ofFile: true }), pages(3, 4), pages(5, 12)], memory);
	expect(numbers(found.contents)).toEqual([[3, 4]]);
});

it("takes all of the vdso and nothing of what has no bytes", () => {
	const found = touchedOf(
		[mapping(1, 3, { kind: "vvar" }), mapping(3, 5, { kind: "vdso" })],
		[pages(1, 5, { ofFile: true })],
		memory,
	);
	expect(numbers(found.contents)).toEqual([[3, 5]]);
});

it("makes guards of the pages that fault", () => {
	const found = touchedOf([mapping(1, 9)], [pages(1, 2), pages(3, 5, { guard: true }), pages(5, 6)], memory);
	expect(numbers(found.contents)).toEqual([
		[1, 2],
		[5, 6],
	]);
	expect(numbers(found.guards)).toEqual([[3, 5]]);
	expect(found.guards[0]).toMatchObject({ backing: { kind: "guard" }, prot: 0 });
});

it("reads a mapping of a deleted file as a whole, up to the file's last page", () => {
	const orphan = { ...mapping(1, 9), orphan: "/gone", fileEnd: 0x2001n };
	expect(numbers(touchedOf([orphan], [pages(1, 2)], memory).contents)).toEqual([[1, 4]]);
	expect(numbers(touchedOf([{ ...orphan, fileEnd: -5n }], [], memory).contents)).toEqual([]);
	expect(numbers(touchedOf([{ ...mapping(1, 9), orphan: "/gone" }], [], memory).contents)).toEqual([[1, 9]]);
});
