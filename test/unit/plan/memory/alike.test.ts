import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { address } from "../../../../src/bytes/address.ts";
import type { Placed } from "../../../../src/bytes/extent.ts";
import { extent, place } from "../../../../src/bytes/extent.ts";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { pagesAlike } from "../../../../src/plan/memory/alike.ts";

const PAGE = 4096;

/** Pages by their letters, a dot for one that is not there; runs as long as they go. */
function contentsOf(letters: string): Placed<ReturnType<typeof address>>[] {
	return [...letters.matchAll(/[^.]+/g)].map(({ 0: run, index }) => {
		const bytes = Buffer.concat([...run].map((letter) => Buffer.alloc(PAGE, letter)));
		return place(address(BigInt(index * PAGE)), extent(fromBuffer(run, bytes), 0n, BigInt(bytes.length)));
	});
}

describe("pages that are alike", () => {
	it("are those that both hold with the same bytes, neighbours as one", () => {
		fc.assert(
			fc.property(fc.stringMatching(/^[.ab]{0,9}$/), fc.stringMatching(/^[.ab]{0,9}$/), (one, other) => {
				const alike = pagesAlike(contentsOf(one), contentsOf(other));
				const pages = alike.flatMap(({ start, end }) =>
					Array.from({ length: Number(end - start) / PAGE }, (_, i) => Number(start) / PAGE + i),
				);
				expect(pages).toEqual([...one].flatMap((letter, i) => (letter !== "." && letter === other[i] ? [i] : [])));
				for (const [i, { start }] of alike.entries()) expect(alike[i - 1]?.end === start).toBe(false);
			}),
		);
	});

	it("are not told by what a source has no bytes of", () => {
		const bytes = Buffer.alloc(PAGE, "a");
		const short = [place(address(0n), extent(fromBuffer("short", bytes), 0n, BigInt(2 * PAGE), BigInt(PAGE + 7)))];
		expect(pagesAlike(short, contentsOf("aa"))).toEqual([{ start: 0n, end: BigInt(PAGE) }]);
	});
});
