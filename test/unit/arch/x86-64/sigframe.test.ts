import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { lostComponents, type Processor, type Resumption, sigframe } from "../../../../src/arch/x86-64/sigframe.ts";
import type { Xstate } from "../../../../src/arch/x86-64/xstate.ts";
import { address } from "../../../../src/bytes/address.ts";
import { registersOf, xstateOf } from "../../../support/builders/thread-task.ts";
import type { ModelMemory } from "../../../support/models/model-kernel.ts";
import { processors } from "../../../support/models/run-threads.ts";
import { hasGcc } from "../../../support/tools.ts";
import { readFrame } from "../../../support/witness/read-frame.ts";

const FRAME = 0x1000_0000n;
const FPSTATE = FRAME + 0x1000n;
const resumption = (xstate: Xstate, more: Partial<Resumption> = {}): Resumption => ({
	...{ registers: registersOf(7n), xstate, blocked: 5n },
	...more,
});

/** A frame as it lies at FRAME, its XSAVE area a page behind. */
function laid(thread: Resumption, processor: Processor): Buffer {
	const { ucontext, fpstate, fpstateAt } = sigframe(thread, processor);
	const memory = Buffer.alloc(0x10000);
	memory.set(ucontext);
	memory.writeBigUInt64LE(FPSTATE, fpstateAt);
	memory.set(fpstate, Number(FPSTATE - FRAME));
	return memory;
}

function read(thread: Resumption, processor: Processor) {
	const bytes = laid(thread, processor);
	const memory: ModelMemory = {
		read: (at, length) => bytes.subarray(Number(at - FRAME), Number(at - FRAME) + length),
		write: () => {},
	};
	return readFrame(memory, FRAME, processor.xstate.size);
}

describe("a signal frame", () => {
	it("has every component where this processor wants it", () => {
		const { area } = read(resumption(xstateOf(3)), processors.intel);
		expect(area.length).toBe(2696);
		expect(area.readBigUInt64LE(512)).toBe(0x207n);
		expect(area.subarray(576, 832)).toEqual(Buffer.from(xstateOf(3).components.get(2) ?? []));
		expect(area.readUInt32LE(2688)).toBe(0x55555554);
		expect(area.subarray(832, 2688).every((byte) => byte === 0)).toBe(true);
	});

	it("leaves protection keys as Linux sets them when the state says nothing of them", () => {
		const without = xstateOf(3, { xstateBv: 7n, components: new Map() });
		const { area } = read(resumption(without), processors.amd);
		expect([area.readBigUInt64LE(512), area.readUInt32LE(2432)]).toEqual([0x207n, 0x55555554]);
		// and not where there are none
		expect(read(resumption(without), processors.old).area.readBigUInt64LE(512)).toBe(7n);
	});

	it("believes a state that says all protection keys are open", () => {
		const open = xstateOf(3, { xstateBv: 7n, components: new Map([[9, new Uint8Array(8)]]) });
		expect(read(resumption(open), processors.amd).area.readBigUInt64LE(512)).toBe(7n);
	});

	it("drops bits of MXCSR that the processor reserves, and those that none has", () => {
		const fx = { ...xstateOf(3).fx, mxcsr: 0xffff_ffff };
		expect(read(resumption(xstateOf(3, { fx })), processors.amd).area.readUInt32LE(24)).toBe(0xffff);
		const liar = { ...fx, mxcsr_mask: 0xffff_ffff };
		expect(sigframe(resumption(xstateOf(3, { fx: liar })), processors.amd).fpstate.subarray(24, 28)).toEqual(
			Uint8Array.of(255, 255, 3, 0).map((byte, i) => (i === 2 ? 2 : byte)),
		);
	});

	it("initialises what is not in use, whatever its bytes say", () => {
		const { area } = read(resumption(xstateOf(3, { xstateBv: 0n })), processors.amd);
		expect(area.readUInt16LE(0)).toBe(0x37f);
		expect(area.readUInt32LE(24)).toBe(0x1f80);
		expect(area.subarray(160, 416).every((byte) => byte === 0)).toBe(true);
	});

	it("leaves a component out whose size is not this processor's", () => {
		const odd = xstateOf(3, { components: new Map([[2, new Uint8Array(64).fill(1)]]) });
		expect(
			read(resumption(odd), processors.old)
				.area.subarray(576)
				.every((byte) => byte === 0),
		).toBe(true);
	});

	it("knows what is lost: components with content that the processor has not", () => {
		const wide = xstateOf(3, {
			xstateBv: 0x2e7n,
			components: new Map([...xstateOf(3).components, [5, new Uint8Array(64)], [7, new Uint8Array(1024).fill(1)]]),
		});
		expect(lostComponents(wide, processors.intel)).toEqual([]);
		expect(lostComponents(wide, processors.amd)).toEqual([7]);
		expect(lostComponents(wide, processors.older)).toEqual([2, 7]);
		const locked = xstateOf(3, { components: new Map([[9, Uint8Array.of(0x50, 0x55, 0x55, 0x55, 0, 0, 0, 0)]]) });
		expect(lostComponents(locked, processors.old)).toEqual([9]);
	});
});

const gcc = hasGcc();

describe.skipIf(!gcc)("this kernel (needs gcc)", () => {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-sigreturn-"));
	const program = join(directory, "sigreturn");
	const source = resolve(import.meta.dirname, "../../../support/lives/sigreturn.c");
	const real = new Map<string, number>();
	const said = (name: string): number => real.get(name) ?? Number.NaN;
	beforeAll(() => {
		execFileSync("gcc", ["-w", "-O1", "-no-pie", "-o", program, source]);
		for (const line of execFileSync(program, { encoding: "utf8" }).trim().split("\n"))
			real.set(line.split(" ")[0] ?? "", Number(line.split(" ")[1]));
	});
	afterAll(() => rmSync(directory, { recursive: true, force: true }));

	/** This one, as a real frame and CPUID describe it. */
	const processor = (): Processor => ({
		xcr0: BigInt(said("xfeatures")),
		xstate: {
			size: said("xstate_size"),
			places: new Map(
				Array.from({ length: 63 }, (_, component) => component)
					.filter((component) => real.has(`size${component}`))
					.map((component) => [
						component,
						{ component, offset: said(`offset${component}`), size: said(`size${component}`) },
					]),
			),
			origin: "note",
		},
	});

	it("makes frames like ours", () => {
		const frame = laid(resumption(xstateOf(1)), processor());
		const fp = Number(FPSTATE - FRAME);
		const size = said("xstate_size");
		expect(said("misaligned")).toBe(0);
		expect({
			...{ uc_flags: Number(frame.readBigUInt64LE(0)), cs: frame.readUInt16LE(184), ss: frame.readUInt16LE(190) },
			...{ magic1: frame.readUInt32LE(fp + 464), extended_size: frame.readUInt32LE(fp + 468) },
			...{ xfeatures: Number(frame.readBigUInt64LE(fp + 472)), xstate_size: frame.readUInt32LE(fp + 480) },
			magic2: frame.readUInt32LE(fp + size),
		}).toEqual(
			Object.fromEntries(
				"uc_flags cs ss magic1 extended_size xfeatures xstate_size magic2".split(" ").map((name) => [name, said(name)]),
			),
		);
	});

	it("returns from ours with every register as it should be", () => {
		const file = join(directory, "frame");
		const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
		// folklore: to return to an rsp that is none faults on some processors and not on others (seen: an Intel Xeon takes it)
		const canonical = fc.bigInt({ min: -(1n << 47n), max: (1n << 47n) - 1n }).map((sp) => BigInt.asUintN(64, sp));
		const { places } = processor().xstate;
		const state = fc.record({
			seed: fc.bigInt({ min: 0n, max: 1n << 62n }),
			sp: canonical,
			flags: fc.constantFrom(0x202n, 0x246n, 0xed7n, 0x40a02n),
			mask: u64,
			noise: fc.integer({ min: 1, max: 0xffff }),
			mxcsr: fc.constantFrom(0x1f80, 0x9fc0, 0x1fbf),
			used: fc.subarray([...places.keys()].filter((component) => component !== 9)),
			stack: fc.option(
				fc.record({
					base: u64.map((base) => address(base | (1n << 40n))),
					size: fc.bigInt({ min: 1n << 16n, max: 1n << 30n }),
					flags: fc.constant(0),
				}),
				{ nil: undefined },
			),
		});
		fc.assert(
			fc.property(state, ({ seed, sp, flags, mask, noise, mxcsr, used, stack }) => {
				const xmm = Array.from({ length: 64 }, (_, i) => (noise * 0x9e3779b1 * (i + 1)) >>> 0);
				const components = new Map(
					[...places.values()].map(({ component, size }) => [
						component,
						new Uint8Array(size).map((_, i) => (noise >> component) * (i + 3)),
					]),
				);
				if (components.has(9)) components.set(9, Uint8Array.of(0x54, 0x55, 0x55, 0x55, 0, 0, 0, 0));
				const xstateBv = used.reduce((bits, component) => bits | (1n << BigInt(component)), 0x203n);
				const fx = { ...xstateOf(1).fx, mxcsr, mxcsr_mask: said("mxcsr_mask"), xmm_space: xmm };
				const registers = registersOf(seed, { ip: BigInt(said("landing")), sp, flags });
				const thread = resumption(xstateOf(1, { fx, xstateBv, components }), {
					...{ registers, blocked: mask },
					...(stack === undefined ? {} : { alternateStack: stack }),
				});
				writeFileSync(file, laid(thread, processor()));
				const told = execFileSync(program, [file]);
				const { r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx } = registers;
				const words = Array.from({ length: 21 }, (_, i) => told.readBigUInt64LE(8 * i));
				expect(words.slice(0, 16)).toEqual([r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp]);
				expect(words[16]).toBe(flags);
				// SIGKILL and SIGSTOP cannot be blocked
				expect(words[17]).toBe(mask & ~0x4_0100n);
				expect(words.slice(18)).toEqual(stack === undefined ? [0n, 2n, 0n] : [stack.base, 0n, stack.size]);
				const area = told.subarray(168);
				expect(area.readUInt16LE(0)).toBe(0x27f);
				expect(area.readUInt32LE(24)).toBe(mxcsr);
				expect(Array.from({ length: 64 }, (_, i) => area.readUInt32LE(160 + 4 * i))).toEqual(xmm);
				const inUse = area.readBigUInt64LE(512);
				for (const { component, offset, size } of places.values()) {
					if (component === 9) continue;
					const held = (inUse >> BigInt(component)) & 1n ? area.subarray(offset, offset + size) : Buffer.alloc(size);
					const wanted = Buffer.from(components.get(component) ?? []);
					expect([component, held]).toEqual([component, used.includes(component) ? wanted : Buffer.alloc(size)]);
				}
			}),
			{ numRuns: 40, endOnFailure: true },
		);
	});
});
