import { describe, expect, it } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { zeroRunsIn } from "../../../src/raise/zero-runs.ts";

const MIB = 1 << 20;

/** 32 MiB without a zero, but for some ranges. */
function bytesWith(...zeros: readonly (readonly [number, number])[]): Buffer {
	const bytes = Buffer.alloc(32 * MIB, 7);
	for (const [start, end] of zeros) bytes.fill(0, start, end);
	return bytes;
}

describe("runs of zeros in a file without holes", () => {
	it("are found as whole pages, also over the pieces that are read", () => {
		const source = fromBuffer("core", bytesWith([3 * MIB + 1, 9 * MIB + 5], [20 * MIB, 21 * MIB]));
		expect(zeroRunsIn(source)).toEqual([
			{ start: BigInt(3 * MIB + 4096), end: BigInt(9 * MIB) },
			{ start: BigInt(20 * MIB), end: BigInt(21 * MIB) },
		]);
	});

	it("are not looked for where there are next to none: real data costs a few reads", () => {
		const whole = fromBuffer("core", bytesWith([MIB, MIB + 65_536]));
		let read = 0;
		const counted = {
			...whole,
			read: (...args: Parameters<typeof whole.read>) => {
				read += args[1];
				return whole.read(...args);
			},
		};
		expect(zeroRunsIn(counted)).toEqual([]);
		expect(read).toBeLessThanOrEqual(512 * 4096);
	});
});
