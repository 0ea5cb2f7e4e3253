import { describe, expect, it } from "vitest";
import { address } from "../../../src/bytes/address.ts";
import { chooseHole, reserver } from "../../../src/plan/hole.ts";
import { refusal } from "../../support/refusal.ts";

const MIB = 1n << 20n;
const range = (start: bigint, end: bigint, flags = 0) => ({ start: address(start), end: address(end), flags });

describe("chooseHole", () => {
	it("prefers a place that was free in every process seen", () => {
		expect(chooseHole([], 5n * MIB)).toEqual(range0(0x2000_0000_0000n, 5n * MIB));
		expect(chooseHole([range(0x40_0000n, 0x41_0000n), range(0x7000_0000_0000n, 0x7001_0000_0000n)], MIB)).toEqual(
			range0(0x2000_0000_0000n, MIB),
		);
	});

	it("rounds up to pages", () => {
		expect(chooseHole([], 1n)).toEqual(range0(0x2000_0000_0000n, 4096n));
	});

	it("goes just above a neighbour in the favourite place, but does not touch it", () => {
		expect(chooseHole([range(0x2000_0000_0000n, 0x2000_0000_1000n)], MIB)).toEqual(range0(0x2000_0000_2000n, MIB));
	});

	it("goes to the middle of the largest gap where the favourite place is far inside something", () => {
		const taken = [range(0x1000_0000_0000n, 0x4000_0000_0000n)];
		expect(chooseHole(taken, MIB)).toEqual(range0(0x4800_0008_0000n - MIB, MIB));
	});

	it("leaves a stack 256 MiB to grow", () => {
		const taken = [range(0x1_0000n, 0x6fff_e000_0000n), range(0x7000_0000_0000n, 0x7fff_ffff_e000n, 0x100)];
		const hole = chooseHole(taken, MIB);
		expect(0x7000_0000_0000n - hole.end).toBeGreaterThanOrEqual(256n * MIB);
		expect(refusal(() => chooseHole(taken, 300n * MIB))).toBe(
			"ERR_HOST address space: no 314572800 bytes are free at a distance from the process's 2 mappings, expected a place for the restorer to work from",
		);
	});

	it("does not mind mappings inside others, the vsyscall page, or disorder", () => {
		const taken = [
			range(0xffff_ffff_ff60_0000n, 0xffff_ffff_ff60_1000n),
			range(0x2000_0000_4000n, 0x2000_0000_5000n),
			range(0x2000_0000_0000n, 0x2000_0000_8000n),
		];
		expect(chooseHole(taken, MIB)).toEqual(range0(0x2000_0000_9000n, MIB));
	});
});

describe("reserver", () => {
	it("gives each range once, and none of the hole", () => {
		const hole = chooseHole([], MIB);
		const reserve = reserver([], hole);
		expect(reserve(4096n)).toBe(hole.end + 4096n);
		expect(reserve(4096n)).toBe(hole.end + 3n * 4096n);
		expect(refusal(() => reserve(1n << 47n))).toBe(
			"ERR_HOST address space: no 140737488355328 bytes are free at a distance from the process's 3 mappings, expected a place for the restorer to work from",
		);
	});
});

function range0(start: bigint, length: bigint) {
	return { start, end: start + length };
}
