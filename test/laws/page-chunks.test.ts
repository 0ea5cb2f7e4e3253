import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address, PAGE_SIZE } from "../../src/bytes/address.ts";
import { extent } from "../../src/bytes/extent.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { chunksOf } from "../../src/trace/page-chunks.ts";

const memory = fromBuffer("memory", Buffer.alloc(0));
const pages = (count: number): bigint => BigInt(count) * PAGE_SIZE;

/** Disjoint stretches of pages, ascending: pairs of a gap and a length. */
const stretches = (maxLength: number) =>
	fc.array(fc.tuple(fc.nat({ max: 6 }), fc.integer({ min: 1, max: 12 })), { maxLength }).map((pairs) => {
		let at = 0;
		return pairs.map(([gap, length]) => {
			const start = at + gap;
			at = start + length;
			return { start, length };
		});
	});

describe("pages cut into chunks", () => {
	it("are all there once, in order; each chunk is of one kind, fits, and is full unless the kind changes or it is the last", () => {
		fc.assert(
			fc.property(stretches(8), stretches(6), fc.integer({ min: 1, max: 9 }), (wanted, hidden, room) => {
				const ranges = wanted.map(({ start, length }) => extent(memory, pages(start), pages(length)));
				const unreadable = hidden.map(({ start, length }) => ({
					start: address(pages(start)),
					end: address(pages(start + length)),
				}));
				const capacity = Number(pages(room));
				const chunks = [...chunksOf(ranges, capacity, unreadable)];

				const pagesOf = (list: readonly { readonly offset: bigint; readonly length: bigint }[]): bigint[] =>
					list.flatMap(({ offset, length }) =>
						Array.from({ length: Number(length / PAGE_SIZE) }, (_, i) => offset + pages(i)),
					);
				expect(chunks.flatMap(({ pieces }) => pagesOf(pieces))).toEqual(pagesOf(ranges));
				const isHidden = (at: bigint): boolean => unreadable.some(({ start, end }) => start <= at && at < end);
				for (const [i, { pieces, length, direct }] of chunks.entries()) {
					expect(length).toBe(Number(pieces.reduce((sum, piece) => sum + piece.length, 0n)));
					expect(length).toBeLessThanOrEqual(capacity);
					expect(length).toBeGreaterThan(0);
					for (const at of pagesOf(pieces)) expect(isHidden(at)).toBe(!direct);
					const next = chunks[i + 1];
					if (next !== undefined && next.direct === direct) expect(length).toBe(capacity);
				}
			}),
		);
	});
});
