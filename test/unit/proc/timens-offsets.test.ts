import fc from "fast-check";
import { expect, it } from "vitest";
import { parseTimensOffsets, TIMENS_OFFSETS_SIZE, timensOffsetsText } from "../../../src/proc/namespaces.ts";

const seconds = (n: bigint): bigint => n * 1_000_000_000n;

it("reads what the kernel shows", () => {
	expect(parseTimensOffsets("monotonic           0         0\nboottime           -3 531536842\n")).toEqual({
		monotonic: 0n,
		boottime: seconds(-3n) + 531_536_842n,
	});
});

it("writes seconds rounded down, and what is over: the kernel takes no negative nanoseconds", () => {
	expect(timensOffsetsText({ monotonic: -1n, boottime: seconds(5n) })).toBe(
		"monotonic                   -1 999999999\nboottime                     5         0\n",
	);
});

it("writes as much whatever they are, and reads it again", () => {
	const offset = fc.bigInt({ min: -seconds(1n << 33n), max: seconds(1n << 33n) });
	fc.assert(
		fc.property(offset, offset, (monotonic, boottime) => {
			const text = timensOffsetsText({ monotonic, boottime });
			expect(text).toHaveLength(TIMENS_OFFSETS_SIZE);
			expect(parseTimensOffsets(text)).toEqual({ monotonic, boottime });
		}),
	);
});
