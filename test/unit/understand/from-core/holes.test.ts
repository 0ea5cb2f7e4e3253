import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Address, address, fileOffset } from "../../../../src/bytes/address.ts";
import type { Placed } from "../../../../src/bytes/extent.ts";
import type { FileRange } from "../../../../src/bytes/range.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { withoutHoles } from "../../../../src/understand/from-core/holes.ts";

const PAGE = 4096n;
const source = fromBuffer("core", Buffer.alloc(0));
const hole = (start: bigint, end: bigint): FileRange => ({ start: fileOffset(start), end: fileOffset(end) });
const content = (pages: number, offset: bigint, available = BigInt(pages) * PAGE): Placed<Address> => ({
	...{ start: address(0x7000_0000_0000n), length: BigInt(pages) * PAGE, source },
	...{ offset: fileOffset(offset), available },
});
/** First page, pages, offset in the file, bytes that are there. */
const rows = (contents: readonly Placed<Address>[]): readonly (readonly [bigint, bigint, bigint, bigint])[] =>
	contents.map(({ start, length, offset, available }) => [
		(start - 0x7000_0000_0000n) / PAGE,
		length / PAGE,
		offset,
		available,
	]);

describe("withoutHoles", () => {
	it("takes whole pages of holes out", () => {
		expect(rows(withoutHoles([content(100, 0n)], source, [hole(10n * PAGE, 40n * PAGE)]))).toEqual([
			[0n, 10n, 0n, 10n * PAGE],
			[10n, 30n, 10n * PAGE, 0n],
			[40n, 60n, 40n * PAGE, 60n * PAGE],
		]);
	});

	it("looks at pages of memory, wherever they lie in the file", () => {
		const holes = [hole(0n, 20n * PAGE + 100n), hole(50n * PAGE, 1000n * PAGE)];
		expect(rows(withoutHoles([content(100, 200n, 80n * PAGE + 5n)], source, holes))).toEqual([
			[0n, 19n, 200n, 0n],
			[19n, 31n, 200n + 19n * PAGE, 31n * PAGE],
			[50n, 50n, 200n + 50n * PAGE, 0n],
		]);
	});

	it("leaves small holes, other files and what lies between holes alone", () => {
		const whole = content(100, 0n);
		expect(withoutHoles([whole], source, [hole(PAGE, 16n * PAGE)])).toEqual([whole]);
		expect(withoutHoles([whole], fromBuffer("x", Buffer.of()), [hole(0n, 99n * PAGE)])).toEqual([whole]);
		expect(withoutHoles([whole], source, [hole(100n * PAGE, 200n * PAGE)])).toEqual([whole]);
		expect(withoutHoles([whole], source, [])).toEqual([whole]);
	});

	it("keeps every byte at its place", () => {
		const edges = fc.uniqueArray(fc.bigInt(0n, 200n * PAGE), { minLength: 2, maxLength: 12 }).map((list) => {
			const sorted = [...list].sort((a, b) => (a < b ? -1 : 1));
			return sorted.flatMap((end, i) => (i % 2 === 1 ? [hole(sorted[i - 1] ?? 0n, end)] : []));
		});
		fc.assert(
			fc.property(
				edges,
				fc.integer({ min: 1, max: 150 }),
				fc.bigInt(0n, 50n * PAGE),
				fc.bigInt(0n, 150n * PAGE),
				(holes, pages, offset, cut) => {
					const length = BigInt(pages) * PAGE;
					const one = content(pages, offset, cut < length ? cut : length);
					let at: bigint = one.start;
					for (const part of withoutHoles([one], source, holes)) {
						expect(part.start).toBe(at);
						expect(part.length % PAGE).toBe(0n);
						expect(part.offset - one.offset).toBe(part.start - one.start);
						const from = part.start - one.start;
						const left = one.available > from ? one.available - from : 0n;
						const held = left < part.length ? left : part.length;
						if (part.available !== held) {
							expect(part.available).toBe(0n);
							expect(holes.some(({ start, end }) => start <= part.offset && part.offset + held <= end)).toBe(true);
						}
						at += part.length;
					}
					expect(at).toBe(one.start + one.length);
				},
			),
		);
	});
});
