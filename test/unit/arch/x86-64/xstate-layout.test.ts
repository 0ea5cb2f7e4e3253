import { describe, expect, it } from "vitest";
import {
	guessXstateLayout,
	layoutMask,
	legacyXstateLayout,
	unplacedComponents,
	writtenXstateLayout,
	type XstateLayout,
	xstateLayoutFromNote,
} from "../../../../src/arch/x86-64/xstate-layout.ts";
import { fixtureNotes } from "../../../support/builders/fixture-core.ts";
import { refusal } from "../../../support/refusal.ts";

type Row = readonly [component: number, size: number, offset: number, flags?: number];

const note = (...rows: readonly Row[]): Buffer => {
	const bytes = Buffer.alloc(rows.length * 16);
	for (const [i, [component, size, offset, flags = 0]] of rows.entries()) {
		for (const [j, word] of [component, size, offset, flags].entries()) bytes.writeUInt32LE(word, i * 16 + j * 4);
	}
	return bytes;
};

const offsets = ({ places }: XstateLayout): Record<number, number> =>
	Object.fromEntries([...places.values()].map(({ component, offset }) => [component, offset]));

describe("xstateLayoutFromNote", () => {
	it("reads the note of an AMD guest that hides AVX-512: PKRU keeps its place behind it", () => {
		const layout = xstateLayoutFromNote(note([2, 256, 576], [9, 8, 2432]), "core");
		expect(layout).toEqual({
			size: 2440,
			origin: "note",
			places: new Map([
				[2, { component: 2, offset: 576, size: 256 }],
				[9, { component: 9, offset: 2432, size: 8 }],
			]),
		});
	});

	it("takes rows in any order, components it does not know, and a note without rows", () => {
		const layout = xstateLayoutFromNote(note([9, 8, 900], [40, 16, 1000, 2], [2, 256, 576]), "core");
		expect([...layout.places.keys()]).toEqual([2, 9, 40]);
		expect(layout.size).toBe(1016);
		expect(xstateLayoutFromNote(note(), "core")).toMatchObject({ size: 576, places: new Map() });
	});

	it.each<[string, Buffer, string]>([
		[
			"half a row",
			note([2, 256, 576]).subarray(0, 15),
			"ERR_NOTE_SIZE c: xsave layout is 15 bytes, expected rows of 16",
		],
		["SSE", note([1, 256, 576]), "ERR_CORE_CORRUPT c: xsave layout names component 1, expected 2 to 62"],
		["bit 63", note([63, 8, 576]), "ERR_CORE_CORRUPT c: xsave layout names component 63, expected 2 to 62"],
		[
			"a component twice",
			note([2, 256, 576], [2, 256, 832]),
			"ERR_CORE_CORRUPT c: xsave layout names AVX twice, expected each component once",
		],
		["half an AVX", note([2, 128, 576]), "ERR_CORE_CORRUPT c: xsave layout gives AVX 128 bytes, expected 256"],
		["nothing", note([40, 0, 576]), "ERR_CORE_CORRUPT c: xsave layout gives component 40 0 bytes, expected some"],
		["the header", note([2, 256, 575]), "ERR_CORE_CORRUPT c: xsave layout puts AVX at byte 575, expected 576 or above"],
		[
			"far away",
			note([2, 256, 0xffff_ffff]),
			"ERR_CORE_CORRUPT c: xsave layout ends AVX at byte 4294967551, expected 65536 at most",
		],
		[
			"overlap",
			note([9, 8, 600], [2, 256, 576]),
			"ERR_CORE_CORRUPT c: xsave layout puts PKRU into AVX, expected distinct places",
		],
	])("refuses %s", (_, bytes, message) => {
		expect(refusal(() => xstateLayoutFromNote(bytes, "c"))).toBe(message);
	});

	it("refuses every piece of a note that ends inside a row", () => {
		const whole = note([2, 256, 576], [9, 8, 2432]);
		for (let length = 0; length < whole.length; length++) {
			const read = () => xstateLayoutFromNote(whole.subarray(0, length), "c");
			if (length % 16 === 0) expect(read().places.size).toBe(length / 16);
			else expect(refusal(read)).toMatch(/^ERR_NOTE_SIZE /);
		}
	});
});

describe("guessXstateLayout", () => {
	it.each<[string, number, bigint, "kernel" | "gdb", XstateLayout["origin"], Record<number, number>]>([
		["SSE only", 576, 0x3n, "kernel", "legacy", {}],
		["AVX", 832, 0x7n, "kernel", "intel", { 2: 576 }],
		["AMD with PKRU and AVX-512 hidden", 2440, 0x207n, "kernel", "amd", { 2: 576, 9: 2432 }],
		["AMD with AVX-512", 2440, 0x2e7n, "kernel", "amd", { 2: 576, 5: 832, 6: 896, 7: 1408, 9: 2432 }],
		["AMD with AVX-512, no PKRU", 2432, 0xe7n, "kernel", "amd", { 2: 576, 5: 832, 6: 896, 7: 1408 }],
		["Intel with PKRU", 2696, 0x207n, "kernel", "intel", { 2: 576, 9: 2688 }],
		[
			"Intel with all but AMX",
			2696,
			0x2ffn,
			"kernel",
			"intel",
			{ 2: 576, 3: 960, 4: 1024, 5: 1088, 6: 1152, 7: 1664, 9: 2688 },
		],
		["Intel with MPX", 1088, 0x1fn, "kernel", "intel", { 2: 576, 3: 960, 4: 1024 }],
		["Intel with AMX", 11008, 0x60207n, "kernel", "intel", { 2: 576, 9: 2688, 17: 2752, 18: 2816 }],
		["Intel with AMX not asked for", 2816, 0x60207n, "kernel", "intel", { 2: 576, 9: 2688, 17: 2752 }],
		["Intel with APX", 2696, 0x80207n, "kernel", "intel", { 2: 576, 9: 2688, 19: 960 }],
		["gdb 13 on AMD", 2696, 0x207n, "gdb", "gdb", { 2: 576, 9: 2688 }],
		["gdb 14 on AMD", 2440, 0x207n, "gdb", "amd", { 2: 576, 9: 2432 }],
		["an unknown processor", 3000, 0x207n, "kernel", "avx", { 2: 576 }],
		["a component unknown here", 2696, 0x100_0000_0207n, "kernel", "avx", { 2: 576 }],
		["xcr0 left out", 832, 0n, "kernel", "avx", { 2: 576 }],
		["xcr0 left out, no room for AVX", 700, 0n, "kernel", "legacy", {}],
	])("%s", (_, size, xcr0, writer, origin, expected) => {
		const layout = guessXstateLayout(size, xcr0, writer, "core");
		expect(layout.size).toBe(size);
		expect(layout.origin).toBe(origin);
		expect(offsets(layout)).toEqual(expected);
	});

	it("agrees with the note of a real core on AMD", () => {
		const [note] = fixtureNotes("counter").filter(({ owner, type }) => owner === "LINUX" && type === 0x205);
		const layout = xstateLayoutFromNote(note?.desc ?? Buffer.alloc(0), "counter");
		expect(layout).toEqual({ ...guessXstateLayout(2440, 0x207n, "kernel", "counter"), origin: "note" });
	});

	it("says what a layout leaves out", () => {
		const layout = guessXstateLayout(3000, 0x207n, "kernel", "core");
		expect(unplacedComponents(0x207n, layout)).toEqual([9]);
		expect(unplacedComponents(0x207n, legacyXstateLayout)).toEqual([2, 9]);
		expect(layoutMask(layout)).toBe(7n);
	});

	it("refuses an area too small for its header, or for AVX", () => {
		expect(refusal(() => guessXstateLayout(575, 7n, "kernel", "c"))).toBe(
			"ERR_NOTE_SIZE c: xsave area is 575 bytes, expected at least 576",
		);
		expect(refusal(() => guessXstateLayout(831, 7n, "kernel", "c"))).toBe(
			"ERR_NOTE_SIZE c: xsave area is 831 bytes, expected at least 832 with AVX",
		);
	});
});

describe("the layout that components are written in", () => {
	const places = (sizes: [number, number][]) =>
		[...writtenXstateLayout(new Map(sizes)).places.values()].map(({ component, offset }) => [component, offset]);

	it("is Intel's", () => {
		const layout = writtenXstateLayout(
			new Map([
				[2, 256],
				[5, 64],
				[6, 512],
				[7, 1024],
				[9, 8],
			]),
		);
		expect([...layout.places.values()].map(({ offset }) => offset)).toEqual([576, 1088, 1152, 1664, 2688]);
		expect(layout.size).toBe(2696);
		expect(places([])).toEqual([]);
	});

	it("puts what Intel has no place for, or keeps for another, behind", () => {
		expect(
			places([
				[2, 256],
				[3, 64],
				[19, 128],
				[40, 24],
			]),
		).toEqual([
			[2, 576],
			[3, 960],
			[19, 1024],
			[40, 1152],
		]);
	});

	it("takes a component of an unknown size as it is", () => expect(places([[2, 100]])).toEqual([[2, 576]]));
});
