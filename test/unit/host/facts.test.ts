import { describe, expect, it } from "vitest";
import { heldCapabilities } from "../../../src/host/capabilities.ts";
import { limitsFrom, vdsoAreas } from "../../../src/host/facts.ts";
import { hugePagesMode, reportsFreePages } from "../../../src/host/huge-pages.ts";

describe("limitsFrom", () => {
	it("reads /proc/PID/limits, whose names have spaces and whose last column may be empty", () => {
		const text = [
			"Limit                     Soft Limit           Hard Limit           Units     ",
			"Max cpu time              unlimited            unlimited            seconds   ",
			"Max open files            1024                 524288               files     ",
			"Max nice priority         0                    40                   ",
			"",
		].join("\n");
		const infinity = 0xffff_ffff_ffff_ffffn;
		expect(limitsFrom(text)).toEqual([
			{ soft: infinity, hard: infinity },
			{ soft: 1024n, hard: 524288n },
			{ soft: 0n, hard: 40n },
		]);
	});
});

describe("vdsoAreas", () => {
	const maps = (vclock: string): string =>
		`7ffe0000-7ffe1000 rw-p 00000000 00:00 0   [stack]
7fff1000-7fff5000 r--p 00000000 00:00 0                          [vvar]
${vclock}7fff7000-7fff9000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;

	it("finds vvar and vdso, with the pages of virtual clocks between that kernels since 6.13 name apart", () => {
		const vclock = "7fff5000-7fff7000 r--p 00000000 00:00 0                          [vvar_vclock]\n";
		expect(vdsoAreas(maps(vclock))).toEqual([
			{ start: 0x7fff1000n, end: 0x7fff5000n },
			{ start: 0x7fff5000n, end: 0x7fff7000n },
			{ start: 0x7fff7000n, end: 0x7fff9000n },
		]);
		expect(vdsoAreas(maps(""))).toHaveLength(2);
	});

	it("is not taken in by a file of that name", () => {
		expect(vdsoAreas("1000-2000 r--p 00000000 fe:00 12  /tmp/[vdso]\n")).toEqual([]);
	});
});

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
		heldCapabilities(`Name:\tagent\nCapPrm:\t000001ffffffffff\nCapEff:\t${word}\nCapBnd:\t000001ffffffffff\n`)
			.filter(({ ok }) => ok)
			.map(({ name }) => name);

	it("reads the effective set", () => {
		expect(names("0000000000000000")).toEqual([]);
		expect(names("0000010000000080")).toEqual(["CAP_SETUID", "CAP_CHECKPOINT_RESTORE"]);
		expect(names("000001ffffffffff")).toHaveLength(8);
	});
});
