import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { address, fileOffset } from "../../../src/bytes/address.ts";
import { createFile } from "../../../src/bytes/sink.ts";
import { fromBuffer } from "../../../src/bytes/source.ts";
import type { NewCore, NewSegment } from "../../../src/core/new-core.ts";
import { writeCore } from "../../../src/core/write.ts";
import { refusalOf } from "../../support/refusal.ts";
import { scratch } from "../../support/scratch.ts";

const PAGE = 4096n;

const draft = (segments: readonly NewSegment[]): NewCore => ({
	process: {
		...{ pr_state: 0, pr_sname: 82, pr_zomb: 0, pr_nice: 0, pr_flag: 0n, pr_uid: 0, pr_gid: 0 },
		...{ pr_pid: 1, pr_ppid: 0, pr_pgrp: 0, pr_sid: 0, pr_fname: "", pr_psargs: "" },
	},
	threads: [],
	auxv: [],
	files: [],
	segments,
});

const segment = (start: bigint, pages: bigint, rest: Partial<NewSegment> = {}): NewSegment => ({
	...{ start: address(start), end: address(start + pages * PAGE), prot: 3, fileSize: pages * PAGE, contents: [] },
	...rest,
});

const ones = fromBuffer("/proc/5739/mem", Buffer.alloc(3 * 4096, 1));
const content = (start: bigint, length: bigint, offset = 0n) => ({
	...{ start: address(start), length, source: ones, offset: fileOffset(offset), available: length },
});

async function write(made: NewCore, options = {}): Promise<string> {
	const path = join(scratch(), "core");
	const sink = createFile(path);
	try {
		await writeCore(made, sink, options);
	} finally {
		sink.close();
	}
	return path;
}

describe("a core that is written", () => {
	it("leaves holes for zeros, and ends where its last segment does", async () => {
		const zeros = fromBuffer("zeros", Buffer.alloc(1 << 20));
		const large = { ...content(0x10000n, 1n << 20n), source: zeros, available: 1n << 20n };
		const dealt: bigint[] = [];
		const path = await write(
			draft([
				segment(0x10000n, 1n << 18n, { contents: [large] }),
				segment(1n << 40n, 2n, { contents: [content(1n << 40n, PAGE)] }),
			]),
			{ progress: (bytes: bigint) => void dealt.push(bytes) },
		);
		const { size, blocks } = statSync(path);
		expect(size).toBe((1 << 30) + 3 * 4096);
		expect(blocks * 512).toBeLessThan(1 << 16);
		expect(dealt).toEqual([1n << 20n, PAGE]);
	});

	it("puts bytes where they belong, also where they are no whole pages", async () => {
		const path = await write(
			draft([segment(0x10000n, 3n, { contents: [content(0x10ff0n, 0x20n), content(0x12000n, 8n)] })]),
		);
		const memory = readFileSync(path).subarray(4096);
		const expected = Buffer.alloc(3 * 4096);
		expected.fill(1, 0xff0, 0x1010).fill(1, 0x2000, 0x2008);
		expect(Buffer.compare(memory, expected)).toBe(0);
	});

	it("is refused where a source ends before its bytes", async () => {
		const made = draft([segment(0x10000n, 4n, { contents: [content(0x10000n, 3n * PAGE, 0x1000n)] })]);
		expect(await refusalOf(write(made))).toBe(
			"ERR_IO /proc/5739/mem: ends at 0x3000 while it is copied, expected bytes up to 0x4000",
		);
	});

	it("is given up when it is to be", async () => {
		const made = draft([segment(0x10000n, 1n, { contents: [content(0x10000n, PAGE)] })]);
		await expect(write(made, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
	});

	it.each([
		["is not page aligned", [segment(0x10001n, 1n)]],
		["is empty", [segment(0x10000n, 0n)]],
		["begins before the end of the one before it", [segment(0x10000n, 2n), segment(0x11000n, 1n)]],
		["holds 8192 bytes", [segment(0x10000n, 1n, { fileSize: 2n * PAGE })]],
		["has bytes at 0x11000", [segment(0x10000n, 2n, { fileSize: PAGE, contents: [content(0x11000n, 1n)] })]],
		["has bytes at 0x10800", [segment(0x10000n, 2n, { contents: [content(0x10000n, PAGE), content(0x10800n, PAGE)] })]],
	])("is none of ours when a segment %s", async (what, segments) => {
		await expect(write(draft(segments))).rejects.toThrow(what);
	});
});
