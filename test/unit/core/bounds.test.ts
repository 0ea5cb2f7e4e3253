import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { taskFromCore } from "../../../src/task/from-core.ts";
import { refusal } from "../../support/refusal.ts";
import { type SwollenCore, swollenCore } from "../../support/swollen-core.ts";

const read = (shape: SwollenCore) => taskFromCore(readCore(fromBuffer("core", swollenCore(shape))));

describe("the most that is taken of a core", () => {
	test("32,768 threads", () => {
		expect(read({ threads: 32_768 }).threads).toHaveLength(32_768);
		expect(refusal(() => read({ threads: 32_769 }))).toBe(
			"ERR_CORE_CORRUPT core: has more than 32768 threads, expected at most 32768",
		);
	});

	test("131,072 mappings", () => {
		expect(read({ loads: 131_072 }).memory.mappings).toHaveLength(131_072);
		expect(refusal(() => read({ loads: 131_073 }))).toBe(
			"ERR_CORE_CORRUPT core: has 131073 mappings, expected at most 131072",
		);
		expect(refusal(() => read({ loads: 200_000 }))).toBe(
			"ERR_CORE_CORRUPT core: claims 200001 program headers, expected at most 131136",
		);
		expect(refusal(() => read({ files: 131_073 }))).toBe(
			"ERR_CORE_CORRUPT core: NT_FILE at 0x308 has 131073 rows, expected at most 131072",
		);
	});

	test("each byte of it once", () => {
		expect(refusal(() => read({ loads: 2, overlap: 4096 }))).toBe(
			"ERR_CORE_CORRUPT core: segments 0x100000-0x101000 and 0x102000-0x103000 have the same bytes at file offset 0x1000, expected each to have its own",
		);
	});
});
