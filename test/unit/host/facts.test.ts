import { describe, expect, it } from "vitest";
import { heldCapabilities } from "../../../src/host/capabilities.ts";
import { hugePagesMode, reportsFreePages } from "../../../src/host/huge-pages.ts";

describe("hugePagesMode", () => {
	it.each([
		["[always] madvise never\n", "always"],
		["always [madvise] never\n", "madvise"],
		["always madvise [never]\n", "never"],
		["", "never"],
	])("reads %j as %s", (text, mode) => {
		expect(hugePagesMode(text)).toBe(mode);
	});
});

describe("reportsFreePages", () => {
	it.each([
		["no balloon", [], false],
		["one that does nothing of the kind", ["01100001000000000000000000000000100\n"], false],
		["one that reports", ["01100101000000000000000000000000100\n"], true],
		["one of two that reports", ["0000000", "000001"], true],
		["one whose features cannot be read", [""], false],
	])("looks at %s", (_, features, reports) => {
		expect(reportsFreePages(features)).toBe(reports);
	});
});

describe("heldCapabilities", () => {
	const names = (word: string): string[] =>
		heldCapabilities({ effective: BigInt(`0x${word}`) })
			.filter(({ ok }) => ok)
			.map(({ name }) => name);

	it("reads the effective set", () => {
		expect(names("0000000000000000")).toEqual([]);
		expect(names("0000010000000080")).toEqual(["CAP_SETUID", "CAP_CHECKPOINT_RESTORE"]);
		expect(names("000001ffffffffff")).toHaveLength(8);
	});
});
