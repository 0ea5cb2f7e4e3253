import { describe, expect, it } from "vitest";
import {
	guessXstateLayout,
	initialFx,
	legalMxcsr,
	normaliseXstate,
	readXstate,
	writeXstate,
	type XstateLayout,
	xstateFromFxregs,
} from "../../../../src/arch/x86-64/xstate.ts";
import { fixtureNotes } from "../../../support/builders/fixture-core.ts";
import { refusal } from "../../../support/refusal.ts";

const NT_X86_XSTATE = 0x202;
const layout = guessXstateLayout(2440, 0x207n, "kernel", "core");

/** An area as this kernel writes it on AMD: AVX at 576, PKRU at 2432. */
const area = (change: (bytes: Buffer) => void = () => {}): Buffer => {
	const bytes = Buffer.alloc(2440);
	bytes.writeUInt16LE(0x37f, 0);
	bytes.writeUInt32LE(0x1fa0, 24);
	bytes.writeUInt32LE(0x2ffff, 28);
	bytes.fill(0x11, 32, 48); // st0
	bytes.fill(0x22, 160, 176); // xmm0
	bytes.writeBigUInt64LE(0x207n, 464);
	bytes.writeBigUInt64LE(0x206n, 512);
	bytes.fill(0x33, 576, 592); // the upper half of ymm0
	bytes.writeUInt32LE(0x55555554, 2432);
	change(bytes);
	return bytes;
};

describe("readXstate", () => {
	it("reads registers, masks and the placed components", () => {
		const xstate = readXstate(area(), layout, "core");
		expect(xstate.xcr0).toBe(0x207n);
		expect(xstate.xstateBv).toBe(0x206n);
		expect(xstate.fx).toMatchObject({ cwd: 0x37f, mxcsr: 0x1fa0, mxcsr_mask: 0x2ffff });
		expect(xstate.fx.xmm_space[0]).toBe(0x22222222);
		expect([...xstate.components.keys()]).toEqual([2, 9]);
		expect(xstate.components.get(2)).toEqual(new Uint8Array(256).fill(0x33, 0, 16));
		expect(xstate.components.get(9)).toEqual(Uint8Array.of(0x54, 0x55, 0x55, 0x55, 0, 0, 0, 0));
	});

	it("copies: the core's buffer may change afterwards", () => {
		const bytes = area();
		const xstate = readXstate(bytes, layout, "core");
		bytes.fill(0xff);
		expect(xstate.components.get(9)?.[0]).toBe(0x54);
	});

	it.each<[string, (bytes: Buffer) => void, string]>([
		[
			"a compacted area",
			(bytes) => bytes.writeBigUInt64LE(0x8000000000000207n, 520),
			"xsave area is compacted (xcomp_bv 0x8000000000000207), expected the standard format",
		],
		[
			"reserved bytes",
			(bytes) => bytes.writeUInt8(1, 575),
			"xsave area has reserved byte 568 set, expected zeros to byte 576",
		],
		[
			"a component in use that XCR0 lacks",
			(bytes) => bytes.writeBigUInt64LE(0x227n, 512),
			"xsave area uses components 0x227, expected some of xcr0 0x207",
		],
	])("refuses %s", (_, change, message) => {
		expect(refusal(() => readXstate(area(change), layout, "core.7"))).toBe(`ERR_CORE_CORRUPT core.7: ${message}`);
	});

	it("does not check against an XCR0 that the writer left out", () => {
		const xstate = readXstate(
			area((bytes) => bytes.fill(0, 464, 472)),
			layout,
			"core",
		);
		expect(xstate).toMatchObject({ xcr0: 0n, xstateBv: 0x206n });
	});

	it("refuses every truncation", () => {
		const whole = area();
		for (let length = 0; length < whole.length; length++) {
			const message = refusal(() => readXstate(whole.subarray(0, length), layout, "c"));
			if (length < 576) expect(message).toBe(`ERR_NOTE_SIZE c: xsave area is ${length} bytes, expected at least 576`);
			else if (length < 832) {
				expect(message).toBe(`ERR_CORE_CORRUPT c: xsave area of ${length} bytes ends before AVX, expected 832`);
			} else expect(message).toBe(`ERR_CORE_CORRUPT c: xsave area of ${length} bytes ends before PKRU, expected 2440`);
		}
	});
});

describe("writeXstate", () => {
	it("writes what it read, byte for byte", () => {
		expect(Buffer.from(writeXstate(readXstate(area(), layout, "core"), layout)).equals(area())).toBe(true);
	});

	it("moves components to another processor's places", () => {
		const intel = guessXstateLayout(2696, 0x207n, "kernel", "core");
		const moved = Buffer.from(writeXstate(readXstate(area(), layout, "core"), intel));
		expect(moved).toHaveLength(2696);
		expect(moved.readUInt32LE(2432)).toBe(0);
		expect(moved.readUInt32LE(2688)).toBe(0x55555554);
	});

	it("leaves out a component without a place only while it is unused", () => {
		const avx: XstateLayout = guessXstateLayout(832, 0x7n, "kernel", "core");
		const xstate = readXstate(area(), layout, "core");
		expect(() => writeXstate(xstate, avx)).toThrow(new RangeError("no place for PKRU, which is in use"));
		expect(writeXstate({ ...xstate, xstateBv: 0x6n }, avx)).toHaveLength(832);
	});

	it("refuses a component that does not fill its place", () => {
		const xstate = { ...readXstate(area(), layout, "core"), components: new Map([[9, new Uint8Array(4)]]) };
		expect(() => writeXstate(xstate, layout)).toThrow(new RangeError("PKRU is 4 bytes, its place 8"));
	});
});

describe("xstateFromFxregs", () => {
	it("takes x87 and SSE as in use", () => {
		const xstate = xstateFromFxregs(area().subarray(0, 512));
		expect(xstate).toMatchObject({ xcr0: 3n, xstateBv: 3n, components: new Map() });
		expect(xstate.fx.mxcsr).toBe(0x1fa0);
	});

	it("refuses any size but 512", () => {
		expect(refusal(() => xstateFromFxregs(new Uint8Array(108), "core.7"))).toBe(
			"ERR_NOTE_SIZE core.7: floating-point registers are 108 bytes, expected 512",
		);
	});
});

describe("normaliseXstate", () => {
	const stale = readXstate(
		area((bytes) => bytes.writeBigUInt64LE(0n, 512)),
		layout,
		"core",
	);

	it("replaces what is not in use by the initial state", () => {
		const { fx, components } = normaliseXstate(stale);
		expect({ ...fx, padding: initialFx.padding }).toEqual({ ...initialFx, mxcsr_mask: 0x2ffff });
		expect(components).toEqual(
			new Map([
				[2, new Uint8Array(256)],
				[9, new Uint8Array(8)],
			]),
		);
	});

	it("keeps what is in use, and MXCSR with either SSE or AVX", () => {
		const used = { ...stale, xstateBv: 0x207n };
		expect(normaliseXstate(used)).toEqual(used);
		expect(normaliseXstate({ ...stale, xstateBv: 0x4n }).fx).toMatchObject({
			mxcsr: 0x1fa0,
			xmm_space: initialFx.xmm_space,
		});
		expect(normaliseXstate({ ...stale, xstateBv: 0x2n }).fx).toMatchObject({
			mxcsr: 0x1fa0,
			st_space: initialFx.st_space,
		});
	});
});

describe("legalMxcsr", () => {
	it("drops what the processor reserves", () => {
		expect(legalMxcsr({ mxcsr: 0xffff_ffff, mxcsr_mask: 0x2ffff })).toBe(0x2ffff);
	});
	it("keeps what every x86-64 processor has where the writer left the mask out, as gdb does", () => {
		expect(legalMxcsr({ mxcsr: 0x9fc0, mxcsr_mask: 0 })).toBe(0x9fc0);
		expect(legalMxcsr({ mxcsr: 0xffff_ffff, mxcsr_mask: 0 })).toBe(0xffff);
	});
});

describe("real cores", () => {
	it("a kernel core on AMD: 2440 bytes, unused components already initial, PKRU at 2432", () => {
		const notes = fixtureNotes("counter").filter(({ type }) => type === NT_X86_XSTATE);
		expect(notes.map(({ desc }) => desc.length)).toEqual([2440]);
		for (const { desc } of notes) {
			const xstate = readXstate(
				desc,
				guessXstateLayout(2440, desc.readBigUInt64LE(464), "kernel", "counter"),
				"counter",
			);
			expect(xstate).toMatchObject({ xcr0: 0x207n, xstateBv: 0x202n });
			expect(Buffer.from(xstate.components.get(9) ?? []).readUInt32LE(0)).toBe(0x55555554);
			expect(normaliseXstate(xstate)).toEqual(xstate);
			expect(xstate.fx.cwd).toBe(0x37f);
			expect(legalMxcsr(xstate.fx)).toBe(xstate.fx.mxcsr);
			expect(Buffer.from(writeXstate(xstate, layout)).equals(desc)).toBe(true);
		}
	});

	it("gdb's gcore of five threads: 2696 bytes, every component called in use, PKRU 0", () => {
		const notes = fixtureNotes("threads-gcore").filter(({ type }) => type === NT_X86_XSTATE);
		expect(notes.map(({ desc }) => desc.length)).toEqual([2696, 2696, 2696, 2696, 2696]);
		for (const { desc } of notes) {
			const made = guessXstateLayout(desc.length, desc.readBigUInt64LE(464), "gdb", "gcore");
			const xstate = readXstate(desc, made, "gcore");
			expect(made.origin).toBe("gdb");
			expect(xstate).toMatchObject({ xcr0: 0x207n, xstateBv: 0x207n });
			expect(xstate.components.get(9)).toEqual(new Uint8Array(8));
			expect(Buffer.from(writeXstate(xstate, made)).equals(desc)).toBe(true);
		}
	});
});
