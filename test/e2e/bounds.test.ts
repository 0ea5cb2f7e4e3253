import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { buildCore } from "../support/builders/core-builder.ts";
import { image, writeDonor } from "../support/builders/donor-builder.ts";
import { deadCore, livingDonor } from "../support/builders/pair.ts";
import { type SwollenCore, swollenCore } from "../support/builders/swollen-core.ts";
import { type SwollenImages, writeSwollen } from "../support/builders/swollen-images.ts";
import { scratch } from "../support/scratch.ts";
import { type Cost, costOf } from "../support/witness/cost.ts";
import { number } from "../support/witness/wire.ts";

/** What any file of at most 64 MiB may take: see .github/SECURITY.md. */
const MOST_MEBIBYTES = 300;
const MOST_SAID = 4096;
/** Of processor time, where nothing else is to do 5; a machine that is busy takes up to three times as much for the same. */
const MOST_SECONDS = 15;

function withinBounds({ mebibytes, seconds, err }: Cost): void {
	expect(mebibytes).toBeGreaterThan(0);
	expect(mebibytes).toBeLessThanOrEqual(MOST_MEBIBYTES);
	expect(seconds).toBeGreaterThan(0);
	expect(seconds).toBeLessThanOrEqual(MOST_SECONDS);
	expect(Buffer.byteLength(err)).toBeLessThanOrEqual(MOST_SAID);
}

function place(bytes: Buffer): string {
	expect(bytes.length).toBeLessThanOrEqual(64 << 20);
	const path = join(scratch(), "core");
	writeFileSync(path, bytes);
	return path;
}

describe("a core that is as large as it may be", () => {
	const shapes: readonly (readonly [string, SwollenCore])[] = [
		["in threads", { threads: 16_384, fx: true }],
		["in mappings", { loads: 65_536 }],
		// two such sets of names would not fit: the kernel's limit is 4 MiB
		["in mapped files", { loads: 65_536, files: 65_536, pathLength: 38 }],
		["in several at once", { loads: 65_535, files: 65_535, pathLength: 38, threads: 2040, fx: true, auxv: 4000 }],
		["in threads and notes", { threads: 16_384, fx: true, others: 65_000 }],
	];
	test.each(shapes)(
		"%s is shown and judged in 300 MiB",
		async (_, shape) => {
			const path = place(swollenCore(shape));
			for (const way of [["show"], ["show", "-v"], ["show", "--json"], ["raise", "--check", "--trust"]])
				withinBounds(await costOf([...way, path]));
		},
		120_000,
	);
});

describe("a core that is larger than any process", () => {
	const shapes: readonly (readonly [string, SwollenCore])[] = [
		["in threads", { threads: 188_000 }],
		["in mappings", { loads: 1_100_000 }],
		["in bytes that are counted again and again", { loads: 65_000, overlap: 4096 }],
		["in notes", { others: 3_900_000 }],
		["in the names of files", { loads: 1000, files: 1000, pathLength: 60_000 }],
		["in the names of many files", { loads: 65_536, files: 65_536, pathLength: 50 }],
		["in all at once", { loads: 65_536, files: 65_536, threads: 16_384, fx: true, others: 220_000 }],
	];
	test.each(shapes)(
		"%s is refused in 300 MiB",
		async (_, shape) => {
			const cost = await costOf(["show", place(swollenCore(shape))]);
			withinBounds(cost);
			expect(cost.status).toBe(3);
		},
		60_000,
	);

	test("when it is unpacked, is refused without being asked", async () => {
		// gzip members one after another are one stream
		const member = gzipSync(Buffer.alloc(64 << 20), { level: 1 });
		const start = gzipSync(Buffer.from("\x7fELF", "latin1"));
		const cost = await costOf(["show", place(Buffer.concat([start, ...new Array<Buffer>(17).fill(member)]))]);
		withinBounds(cost);
		expect(cost).toMatchObject({
			status: 3,
			err: expect.stringMatching(/unpacks to more than 1073741824 bytes.*--max-size/),
		});
	}, 60_000);
});

describe("images that name a process 2,000 times", () => {
	test.each([["show"], ["plan", "-i"], ["restore", "-i"]])(
		"are refused by %s",
		async (...verb) => {
			const path = writeDonor(join(scratch(), "donor"), livingDonor());
			const pid = [...number(1, 7), ...number(2, 0), ...number(3, 1), ...number(4, 1), ...number(5, 7)];
			writeFileSync(join(path, "pstree.img"), image(0x50273030, ...new Array<number[]>(2000).fill(pid)));
			const cost = await costOf([...verb, path]);
			withinBounds(cost);
			expect(cost.err).toMatch(/has process 7 twice/);
			expect(cost.status).not.toBe(0);
		},
		60_000,
	);
});

describe("images that say one thing as often as they may", () => {
	const shapes: readonly (readonly [string, SwollenImages])[] = [
		["runs of pages", { runs: 520_000 }],
		["open files", { files: 400_000 }],
		["descriptors", { descriptors: 131_000 }],
		["more descriptors", { descriptors: 500_000 }],
		["mappings", { mappings: 65_000 }],
		["more mappings", { mappings: 280_000 }],
		["threads", { threads: 1_000_000 }],
		["processes", { processes: 500_000 }],
	];
	test.each(shapes)(
		"%s: shown, planned, patched, or refused before anything is made",
		async (_, shape) => {
			const folder = scratch();
			const path = writeSwollen(join(folder, "images"), shape);
			const core = join(folder, "core");
			writeFileSync(core, buildCore(deadCore()));
			for (const way of [
				["show", "-v"],
				["plan", "-i"],
				["-c", core, "--check", "-i"],
				["restore", "-d", "-i"],
			]) {
				const cost = await costOf([...way, path]);
				if (process.env["NECROMANCER_COSTS"] !== undefined) console.log(way[0], JSON.stringify(cost).slice(0, 300));
				withinBounds(cost);
				if (way[0] === "restore") expect(cost.status).not.toBe(0);
			}
		},
		120_000,
	);
});
