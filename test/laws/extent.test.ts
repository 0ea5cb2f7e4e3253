import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../src/bytes/address.ts";
import { readExtent } from "../../src/bytes/bulk.ts";
import {
	allWithin,
	bytesOf,
	cut,
	cutPlaced,
	type Extent,
	endOf,
	extent,
	goesOn,
	held,
	heldPlaced,
	joined,
	piecesOf,
	place,
	placedPiecesOf,
	readAt,
} from "../../src/bytes/extent.ts";
import { fromBuffer } from "../../src/bytes/source.ts";

const SIZE = 64;
const bytes = Buffer.from(Array.from({ length: SIZE }, (_, i) => i + 1));
const source = fromBuffer("sixty-four bytes", bytes);
const other = fromBuffer("others", Buffer.alloc(SIZE, 0xff));

/** What an extent reads as, by its definition alone. */
const meant = ({ source, offset, length, available }: Extent): number[] =>
	Array.from({ length: Number(length) }, (_, i) =>
		i < available ? (source.read(fileOffset(Number(offset) + i), 1)?.[0] ?? -1) : 0,
	);
const read = (whole: Extent): number[] => [...(bytesOf(whole) ?? [])];

const from = fc.constantFrom(source, other);
const anyExtent = fc
	.record({ from, offset: fc.nat(SIZE), length: fc.nat(2 * SIZE), available: fc.nat(SIZE) })
	.map(({ from, offset, length, available }) =>
		extent(from, BigInt(offset), BigInt(length), BigInt(Math.min(available, SIZE - offset))),
	);
/** An extent and two places in it, in order. */
const anyCut = fc.tuple(anyExtent, fc.nat(2 * SIZE), fc.nat(2 * SIZE)).map(([whole, a, b]) => {
	const [first = 0n, last = 0n] = [a, b].map((at) => BigInt(at) % (whole.length + 1n)).sort((x, y) => (x < y ? -1 : 1));
	return { whole, first, last };
});

describe("an extent", () => {
	it("reads as its source's bytes as far as there are, and zeros behind", () => {
		fc.assert(
			fc.property(anyExtent, (whole) => {
				expect(read(whole)).toEqual(meant(whole));
			}),
		);
	});

	it("is read into a buffer as it reads, whatever lay there", async () => {
		await fc.assert(
			fc.asyncProperty(anyExtent, async (whole) => {
				const into = Buffer.alloc(Number(whole.length), 0xee);
				await readExtent(whole, into, (end) => expect.unreachable(`${end}`));
				expect([...into]).toEqual(meant(whole));
			}),
		);
	});

	it("has no more than its length, and no less than nothing", () => {
		expect(extent(source, 3n, 10n, 20n).available).toBe(10n);
		expect(extent(source, 3n, 10n, -20n).available).toBe(0n);
		expect(extent(source, 3n, 10n)).toEqual({ source, offset: 3n, length: 10n, available: 10n });
	});

	it("cannot be read where its source ends before", () => {
		expect(bytesOf(extent(source, 60n, 5n))).toBeUndefined();
		expect(read(extent(source, 60n, 5n, 4n))).toEqual([61, 62, 63, 64, 0]);
	});

	it("is cut and read, or read and cut: the same bytes", () => {
		fc.assert(
			fc.property(anyCut, ({ whole, first, last }) => {
				const part = cut(whole, first, last);
				expect(read(part)).toEqual(read(whole).slice(Number(first), Number(last)));
				expect(part.length).toBe(last - first);
				expect(part.available <= part.length).toBe(true);
			}),
		);
	});

	it("is cut twice as it is cut once", () => {
		fc.assert(
			fc.property(anyCut, fc.nat(), fc.nat(), ({ whole, first, last }, a, b) => {
				const part = cut(whole, first, last);
				const inner = BigInt(a) % (part.length + 1n);
				const end = inner + (BigInt(b) % (part.length - inner + 1n));
				expect(cut(part, inner, end)).toEqual(cut(whole, first + inner, first + end));
				expect(cut(whole, 0n)).toEqual(whole);
			}),
		);
	});

	it("is what its two halves are together; they go on wherever the first is all there", () => {
		fc.assert(
			fc.property(anyCut, ({ whole, first }) => {
				const [before, after] = [cut(whole, 0n, first), cut(whole, first)];
				expect([...read(before), ...read(after)]).toEqual(read(whole));
				expect(goesOn(before, after)).toBe(whole.available >= first);
				if (goesOn(before, after)) expect(joined(before, after)).toEqual(whole);
			}),
		);
	});

	it("joins with nothing else without changing what is read", () => {
		fc.assert(
			fc.property(anyExtent, anyExtent, (one, next) => {
				if (goesOn(one, next)) expect(read(joined(one, next))).toEqual([...read(one), ...read(next)]);
			}),
		);
	});

	it("falls into pieces of one size but the last", () => {
		fc.assert(
			fc.property(anyExtent, fc.integer({ min: 1, max: SIZE }), (whole, most) => {
				const pieces = [...piecesOf(whole, BigInt(most))];
				expect(pieces.flatMap(read)).toEqual(read(whole));
				for (const piece of pieces.slice(0, -1)) expect(piece.length).toBe(BigInt(most));
				expect(pieces.every(({ length }) => length > 0n && length <= BigInt(most))).toBe(true);
				expect(read(held(whole))).toEqual(read(whole).slice(0, Number(whole.available)));
			}),
		);
	});

	it.each([
		[-1n, 3n],
		[4n, 3n],
		[0n, 11n],
	])("has no bytes %s-%s", (first, last) => {
		expect(() => cut(extent(source, 0n, 10n), first, last)).toThrow(RangeError);
	});
});

describe("extents with a place", () => {
	const row = fc.array(fc.tuple(fc.nat(5), anyExtent), { maxLength: 6 }).map((list) => {
		let at = address(0x1000n);
		return list
			.filter(([, { length }]) => length > 0n)
			.map(([gap, whole]) => {
				const placed = place(address(at + BigInt(gap)), whole);
				at = endOf(placed);
				return placed;
			});
	});
	const range = fc.tuple(fc.nat(700), fc.nat(700)).map(([start, length]) => ({
		start: address(0xf80n + BigInt(start)),
		end: address(0xf80n + BigInt(start + length)),
	}));

	it("keep every byte at its place, whatever part of them is asked for", () => {
		fc.assert(
			fc.property(row, range, (list, wanted) => {
				const shown = (parts: typeof list): Map<bigint, number> =>
					new Map(
						parts.flatMap((part) => read(part).map((byte, i): [bigint, number] => [part.start + BigInt(i), byte])),
					);
				const asked = [...shown(list)].filter(([at]) => wanted.start <= at && at < wanted.end);
				expect([...shown(allWithin(list, wanted))]).toEqual(asked);
			}),
		);
	});

	it("fall into pieces that stay at their places, and keep what their sources have", () => {
		fc.assert(
			fc.property(row, fc.integer({ min: 1, max: SIZE }), (list, most) => {
				const shown = (parts: typeof list): [bigint, number][] =>
					parts.flatMap((part) => read(part).map((byte, i): [bigint, number] => [part.start + BigInt(i), byte]));
				expect(shown(list.flatMap((placed) => [...placedPiecesOf(placed, BigInt(most))]))).toEqual(shown(list));
				for (const placed of list)
					expect(shown([heldPlaced(placed)])).toEqual(shown([placed]).slice(0, Number(placed.available)));
			}),
		);
	});

	it("are cut where they are", () => {
		const placed = place(address(0x1000n), extent(source, 8n, 16n, 10n));
		expect(cutPlaced(placed, 4n, 12n)).toEqual({ start: 0x1004n, source, offset: 12n, length: 8n, available: 6n });
		expect(cutPlaced(place(fileOffset(7), extent(source, 8n, 16n)), 15n).start).toBe(22n);
	});

	it("are read across neighbours, and not across gaps", () => {
		fc.assert(
			fc.property(row, range, (list, { start, end }) => {
				const known = new Map(list.flatMap((part) => read(part).map((byte, i) => [part.start + BigInt(i), byte])));
				const wanted = Array.from({ length: Number(end - start) }, (_, i) => known.get(start + BigInt(i)));
				const got = readAt(list, start, Number(end - start));
				if (wanted.includes(undefined)) expect(got).toBeUndefined();
				else expect([...(got ?? [])]).toEqual(wanted);
			}),
		);
		expect(readAt([], address((1n << 64n) - 4n), 8)).toBeUndefined();
	});
});
