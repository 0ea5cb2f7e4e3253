import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { taskFromCore } from "../../../src/task/from-core.ts";
import { refusal } from "../../support/refusal.ts";
import { type SwollenCore, swollenCore } from "../../support/swollen-core.ts";

const read = (shape: SwollenCore) => taskFromCore(readCore(fromBuffer("core", swollenCore(shape))));

describe("the most that is taken of a core", () => {
	test("16,384 threads", () => {
		expect(read({ threads: 16_384 }).threads).toHaveLength(16_384);
		expect(refusal(() => read({ threads: 16_385 }))).toBe(
			"ERR_CORE_CORRUPT core: has more than 16384 threads, expected at most 16384",
		);
	});

	test("65,536 mappings", () => {
		expect(read({ loads: 65_536 }).memory.mappings).toHaveLength(65_536);
		expect(refusal(() => read({ loads: 65_537 }))).toBe(
			"ERR_CORE_CORRUPT core: has 65537 mappings, expected at most 65536",
		);
		expect(refusal(() => read({ loads: 200_000 }))).toBe(
			"ERR_CORE_CORRUPT core: claims 200001 program headers, expected at most 65600",
		);
		expect(refusal(() => read({ files: 65_537 }))).toBe(
			"ERR_CORE_CORRUPT core: NT_FILE at 0x308 has 65537 rows, expected at most 65536",
		);
	});

	test("each byte of it once", () => {
		expect(refusal(() => read({ loads: 2, overlap: 4096 }))).toBe(
			"ERR_CORE_CORRUPT core: segments 0x100000-0x101000 and 0x102000-0x103000 have the same bytes at file offset 0x1000, expected each to have its own",
		);
	});
});
