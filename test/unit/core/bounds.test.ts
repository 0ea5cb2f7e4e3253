import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import { sparse } from "../../support/builders/sparse.ts";
import { type SwollenCore, swollenCore } from "../../support/builders/swollen-core.ts";
import { refusal } from "../../support/refusal.ts";

const read = (shape: SwollenCore) => taskFromCore(readCore(fromBuffer("core", swollenCore(shape))));
/** With a hole behind it. */
const large = (shape: SwollenCore, size: bigint) => taskFromCore(readCore(sparse("core", swollenCore(shape), size)));

describe("the most that is taken of a core", () => {
	test("16,384 threads, or one for each of its pages", () => {
		expect(read({ threads: 16_384 }).threads).toHaveLength(16_384);
		expect(refusal(() => read({ threads: 16_385 }))).toMatch(
			/^ERR_CORE_CORRUPT core: has more than 16384 threads, expected at most 16384 in \d+ bytes$/,
		);
		expect(large({ threads: 16_385 }, 16_385n << 12n).threads).toHaveLength(16_385);
	});

	test("65,536 mappings, or one for each of its pages", () => {
		expect(read({ loads: 65_536 }).memory.mappings).toHaveLength(65_536);
		expect(refusal(() => read({ loads: 65_537 }))).toMatch(
			/^ERR_CORE_CORRUPT core: has 65537 mappings, expected at most 65536 in \d+ bytes$/,
		);
		expect(refusal(() => read({ loads: 200_000 }))).toMatch(
			/^ERR_CORE_CORRUPT core: claims 200001 program headers, expected at most 65600 in \d+ bytes$/,
		);
		expect(refusal(() => read({ files: 65_537 }))).toMatch(
			/^ERR_CORE_CORRUPT core: NT_FILE at 0x308 has 65537 rows, expected at most 65536 in \d+ bytes$/,
		);
		expect(large({ loads: 65_600, files: 65_600 }, 65_600n << 12n).memory.mappings).toHaveLength(65_600);
	});

	test("never more than a kernel can be set up for", () => {
		expect(refusal(() => large({ loads: 1_048_800 }, 1n << 40n))).toBe(
			"ERR_CORE_CORRUPT core: claims 1048801 program headers, expected at most 1048704 in 1099511627776 bytes",
		);
	});

	test("as many bytes as it has, also where two segments share some", () => {
		// the page in front of them is the headers' and notes'
		expect(read({ loads: 2, overlap: 4096 }).memory.mappings).toHaveLength(2);
		expect(refusal(() => read({ loads: 3, overlap: 4096 }))).toBe(
			"ERR_CORE_CORRUPT core: its segments hold 12288 bytes, expected at most the file's 8192",
		);
	});
});
