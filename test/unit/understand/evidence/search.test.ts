import { expect, test } from "vitest";
import { type Address, address } from "../../../../src/bytes/address.ts";
import type { PartialMemory } from "../../../../src/forest/partial-task.ts";
import { uvLoops } from "../../../../src/understand/evidence/libuv.ts";
import { pairsOf, selfPointers } from "../../../../src/understand/evidence/search.ts";

/** Memory in which every word is as `of` says; counts how often it is read. */
function memoryOf(of: (at: bigint) => bigint): PartialMemory & { readonly reads: () => number } {
	let reads = 0;
	return {
		...{ mappings: [], contents: [], auxv: [], executable: "", buildIds: new Map() },
		stack: { kind: "unknown", reason: "" },
		read: (at, length) => {
			reads++;
			const from = at & ~7n;
			const bytes = Buffer.alloc(Math.ceil((Number(at - from) + length) / 8) * 8);
			for (let i = 0; i < bytes.length; i += 8) bytes.writeBigUInt64LE(of(from + BigInt(i)), i);
			return bytes.subarray(Number(at - from), Number(at - from) + length);
		},
		reads: () => reads,
	};
}

const place = (start: bigint, length: bigint): { start: Address; end: Address } => ({
	start: address(start),
	end: address(start + length),
});

test("words that hold their own address are found on both sides of 4 GiB", () => {
	const lists = new Set([0xffff_fff8n, 0x1_0000_0000n, 0x1_0000_0010n]);
	const memory = memoryOf((at) => (lists.has(at) ? at : at & 0xffff_ffffn));
	expect([...selfPointers(memory, [place(0xffff_0000n, 0x2_0000n)])].filter((at) => at >= 0xffff_fff0n)).toEqual([
		...[0xffff_fff0n, 0xffff_fff8n, 0x1_0000_0000n, 0x1_0000_0010n],
	]);
});

test("two numbers side by side are found in words and across them, and over no gap", () => {
	const at = 0x1000n;
	const words = new Map([
		[at, (5n << 32n) | 4n],
		[at + 8n, 7n << 32n],
		[at + 16n, 8n],
		[at + 32n, 9n << 32n],
	]);
	const memory = memoryOf((where) => words.get(where) ?? 0n);
	expect([...pairsOf(new Set([3, 4, 7, 9]), memory, [place(at, 0x1000n)])]).toEqual([4, 7]);
	expect([...pairsOf(new Set([9]), memory, [place(at, 40n), place(at + 16n, 8n)])]).toEqual([]);
});

test("memory that is nothing but empty lists is not looked at for ever", () => {
	// every word points at itself, so that every place could be a loop's, with a huge table
	const memory = memoryOf((at) => at);
	expect(uvLoops(memory, [place(0x10_0000n, 8n << 20n)])).toEqual([]);
	expect(memory.reads()).toBeLessThan(300_000);
});
