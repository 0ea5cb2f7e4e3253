import { closeSync, ftruncateSync, openSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fromBuffer, openFile } from "../../src/bytes/source.ts";
import { holesOf } from "../../src/host/holes.ts";
import { scratch } from "../support/scratch.ts";

// What the file system of this machine says of files with nothing in them.

const MIB = 1 << 20;

/** A file of `size` bytes, with a page at each of `pages`. */
function sparse(size: number, pages: readonly number[]): string {
	const path = join(scratch(), "sparse");
	const fd = openSync(path, "wx");
	for (const at of pages) writeSync(fd, Buffer.alloc(4096, 1), 0, 4096, at);
	ftruncateSync(fd, size);
	closeSync(fd);
	return path;
}

const canBeSparse = statSync(sparse(MIB, [])).blocks === 0;

async function holes(path: string): Promise<readonly (readonly [bigint, bigint])[]> {
	const source = openFile(path);
	try {
		return (await holesOf(source)).map(({ start, end }) => [start, end]);
	} finally {
		source.close();
	}
}

describe.skipIf(!canBeSparse)("holesOf (needs a file system that has them)", () => {
	it("tells where a file has no bytes, up to its end", async () => {
		const path = sparse(64 * MIB, [0, 8 * MIB, 32 * MIB]);
		expect(await holes(path)).toEqual([
			[4096n, BigInt(8 * MIB)],
			[BigInt(8 * MIB + 4096), BigInt(32 * MIB)],
			[BigInt(32 * MIB + 4096), BigInt(64 * MIB)],
		]);
	});

	it("knows of nothing but a hole, and of a hole that is not the end", async () => {
		expect(await holes(sparse(64 * MIB, []))).toEqual([[0n, BigInt(64 * MIB)]]);
		expect(await holes(sparse(64 * MIB, [64 * MIB - 4096]))).toEqual([[0n, BigInt(64 * MIB - 4096)]]);
	});

	it("asks again for what one request does not hold", async () => {
		const count = 1200;
		const found = await holes(
			sparse(
				(count + 1) * 65536,
				Array.from({ length: count }, (_, i) => i * 65536),
			),
		);
		expect(found).toEqual(
			Array.from({ length: count }, (_, i) => [
				BigInt(i * 65536 + 4096),
				BigInt(i === count - 1 ? (count + 1) * 65536 : (i + 1) * 65536),
			]),
		);
	});

	it("does not ask about what is dense, small, or no file", async () => {
		expect(await holes(sparse(8 * MIB, []))).toEqual([]);
		expect(await holesOf(fromBuffer("x", Buffer.alloc(64)))).toEqual([]);
	});
});
