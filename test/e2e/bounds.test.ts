import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { type Cost, costOf } from "../support/cost.ts";
import { scratch } from "../support/scratch.ts";
import { type SwollenCore, swollenCore } from "../support/swollen-core.ts";

/** What any file of at most 64 MiB may take: see .github/SECURITY.md. */
const MOST_MEBIBYTES = 300;
const MOST_SAID = 4096;

function withinBounds({ mebibytes, err }: Cost): void {
	expect(mebibytes).toBeGreaterThan(0);
	expect(mebibytes).toBeLessThanOrEqual(MOST_MEBIBYTES);
	expect(Buffer.byteLength(err)).toBeLessThanOrEqual(MOST_SAID);
}

function place(bytes: Buffer): string {
	expect(bytes.length).toBeLessThanOrEqual(64 << 20);
	const path = join(scratch(), "core");
	writeFileSync(path, bytes);
	return path;
}

describe("a core that is as large as it may be", () => {
	const shapes: readonly (readonly [string, SwollenCore, readonly (readonly string[])[]])[] = [
		["in threads", { threads: 16_384, fx: true }, [["show"], ["raise", "--check", "--trust"]]],
		["in mappings", { loads: 65_536 }, [["show"], ["show", "--json"]]],
		["in the names of files", { loads: 250, files: 250, pathLength: 65_000 }, [["show", "--json"]]],
	];
	test.each(shapes)("%s is shown and judged in 300 MiB", (_, shape, ways) => {
		const path = place(swollenCore(shape));
		for (const way of ways) withinBounds(costOf([...way, path]));
	});
});

describe("a core that is larger than any process", () => {
	const shapes: readonly (readonly [string, SwollenCore])[] = [
		["in threads", { threads: 188_000 }],
		["in threads with their registers", { threads: 75_000, fx: true }],
		["in mappings", { loads: 1_100_000 }],
		["in bytes that are counted again and again", { loads: 65_000, overlap: 4096 }],
		["in notes", { others: 3_900_000 }],
		["in the names of files", { loads: 1000, files: 1000, pathLength: 60_000 }],
	];
	test.each(shapes)("%s is refused in 300 MiB", (_, shape) => {
		const cost = costOf(["show", place(swollenCore(shape))]);
		withinBounds(cost);
		expect(cost.status).toBe(3);
	});

	test("when it is unpacked, is refused without being asked", () => {
		// gzip members one after another are one stream
		const member = gzipSync(Buffer.alloc(64 << 20), { level: 1 });
		const start = gzipSync(Buffer.from("\x7fELF", "latin1"));
		const cost = costOf(["show", place(Buffer.concat([start, ...new Array<Buffer>(17).fill(member)]))]);
		withinBounds(cost);
		expect(cost).toMatchObject({
			status: 3,
			err: expect.stringMatching(/unpacks to more than 1073741824 bytes.*--max-size/),
		});
	});
});
