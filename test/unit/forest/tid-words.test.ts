import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import type { Memory } from "../../../src/forest/task.ts";
import { holdsRobustMutexes, tidWordsOf } from "../../../src/forest/tid-words.ts";
import { registersOf, threadOf } from "../../support/builders/thread-task.ts";

const BASE = 0x7000_0000n;
const TID = 4711;

/** A page at BASE: words by offset, four bytes or eight. */
function memoryWith(ints: Readonly<Record<number, number>>, longs: Readonly<Record<number, bigint>> = {}) {
	const bytes = Buffer.alloc(4096);
	for (const [at, value] of Object.entries(ints)) bytes.writeInt32LE(value, Number(at));
	for (const [at, value] of Object.entries(longs)) bytes.writeBigUInt64LE(value, Number(at));
	const contents: Memory["contents"] = [
		{
			...{ start: address(BASE), length: 8192n, offset: fileOffset(0n), available: 4096n },
			source: {
				...{ name: "pages", size: 4096n, close: () => {} },
				read: (at, length) =>
					Number(at) + length > 4096 ? undefined : bytes.subarray(Number(at), Number(at) + length),
			},
		},
	];
	return { contents };
}

const threadAt = (fs_base: bigint, clearTid?: bigint) =>
	threadOf(TID, {
		registers: registersOf(0n, { fs_base }),
		...(clearTid === undefined ? {} : { clearTid: address(clearTid) }),
	});

describe("tidWordsOf", () => {
	it("finds glibc's, which the kernel clears", () => {
		expect(tidWordsOf(threadAt(BASE, BASE + 0x2d0n), memoryWith({ 720: TID }))).toEqual([BASE + 0x2d0n]);
	});

	it("finds musl's, behind what points at itself, and not the lock that the kernel clears there", () => {
		const memory = memoryWith({ 48: TID }, { 0: BASE });
		expect(tidWordsOf(threadAt(BASE, BASE + 0x800n), memory)).toEqual([BASE + 0x30n]);
	});

	it("takes nothing that does not hold the id", () => {
		expect(tidWordsOf(threadAt(BASE, BASE + 0x2d0n), memoryWith({ 720: TID + 1, 48: TID }))).toEqual([]);
		expect(tidWordsOf(threadAt(0n), memoryWith({}))).toEqual([]);
		expect(tidWordsOf(threadAt(BASE, BASE + 0xffen), memoryWith({}))).toEqual([]);
		expect(tidWordsOf(threadAt(BASE, (1n << 47n) - 2n), memoryWith({}))).toEqual([]);
	});

	it("believes what the task says", () => {
		const thread = { ...threadAt(BASE, BASE + 0x2d0n), tidWords: [address(0x5000n)] };
		expect(tidWordsOf(thread, memoryWith({ 720: TID }))).toEqual([0x5000n]);
	});
});

describe("holdsRobustMutexes", () => {
	it("tells a list from its head alone", () => {
		const thread = threadOf(TID, { robustList: address(BASE + 0x2e0n) });
		expect(holdsRobustMutexes(thread, memoryWith({}, { 736: BASE + 0x2e0n }))).toBe(false);
		expect(holdsRobustMutexes(thread, memoryWith({}, { 736: BASE + 0x100n }))).toBe(true);
		expect(holdsRobustMutexes(thread, memoryWith({}))).toBe(false);
		expect(holdsRobustMutexes(threadOf(TID), memoryWith({}))).toBe(false);
	});
});
