import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fxregs } from "../../src/arch/x86-64/notes.ts";
import { type UserRegs, userRegs } from "../../src/arch/x86-64/registers.ts";
import { restartFixup } from "../../src/arch/x86-64/restart.ts";
import { describeSiginfo } from "../../src/arch/x86-64/siginfo-text.ts";
import {
	guessXstateLayout,
	normaliseXstate,
	readXstate,
	unplacedComponents,
	writeXstate,
	type Xstate,
	type XstateLayout,
	xstateLayoutFromNote,
} from "../../src/arch/x86-64/xstate.ts";
import { componentBit, xstateComponents } from "../../src/arch/x86-64/xstate-components.ts";
import { layoutMask, legacyXstateLayout } from "../../src/arch/x86-64/xstate-layout.ts";
import { NecromancerError } from "../../src/errors.ts";
import { AT, type AuxvPair, trimAuxv } from "../../src/linux/auxv.ts";
import { signalsIn, withoutSignals, withSignals } from "../../src/linux/signal.ts";

const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const word = fc.oneof(
	fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
	fc.integer({ min: -600, max: 600 }).map((n) => BigInt.asUintN(64, BigInt(n))),
);

/** Layouts of known processors, of gdb, and made-up ones as a note could state them. */
const layouts: fc.Arbitrary<XstateLayout> = fc.oneof(
	fc.constantFrom(
		...[
			legacyXstateLayout,
			guessXstateLayout(832, 0x7n, "kernel", "law"),
			guessXstateLayout(2440, 0x2e7n, "kernel", "law"),
			guessXstateLayout(2696, 0x2ffn, "kernel", "law"),
			guessXstateLayout(11008, 0x602e7n, "kernel", "law"),
			guessXstateLayout(2696, 0x207n, "gdb", "law"),
		],
	),
	fc
		.shuffledSubarray([2, 3, 4, 5, 6, 7, 9, 17, 19, 40])
		.chain((components) => fc.tuple(fc.constant(components), fc.array(fc.nat(64), { minLength: 10, maxLength: 10 })))
		.map(([components, gaps]) => {
			const note = Buffer.alloc(components.length * 16);
			let offset = 576;
			for (const [i, component] of components.entries()) {
				const size = xstateComponents.get(component)?.size ?? 24;
				offset += gaps[i] ?? 0;
				note.writeUInt32LE(component, i * 16);
				note.writeUInt32LE(size, i * 16 + 4);
				note.writeUInt32LE(offset, i * 16 + 8);
				offset += size;
			}
			return xstateLayoutFromNote(note, "law");
		}),
);

const xstateIn = (layout: XstateLayout): fc.Arbitrary<Xstate> =>
	fc
		.record({
			legacy: bytes(512),
			more: word,
			used: word,
			components: fc.tuple(...[...layout.places.values()].map(({ size }) => bytes(size))),
		})
		.map(({ legacy, more, used, components }) => {
			const xcr0 = layoutMask(layout) | more;
			Buffer.from(legacy.buffer).writeBigUInt64LE(xcr0, 464);
			return {
				fx: fxregs.decode(legacy),
				xcr0,
				xstateBv: used & layoutMask(layout),
				components: new Map([...layout.places.keys()].map((component, i) => [component, components[i] ?? legacy])),
			};
		});

const placed = layouts.chain((layout) => fc.tuple(fc.constant(layout), xstateIn(layout)));

describe("the XSAVE area", () => {
	it("is read as it was written, in any layout", () => {
		fc.assert(
			fc.property(placed, ([layout, xstate]) => {
				const area = writeXstate(xstate, layout);
				expect(area).toHaveLength(layout.size);
				expect(readXstate(area, layout, "law")).toEqual(xstate);
			}),
			{ numRuns: 60 },
		);
	});

	it("keeps all components in use across a change of layout, or says which has no place", () => {
		fc.assert(
			fc.property(placed, layouts, ([, xstate], other) => {
				const lost = unplacedComponents(xstate.xstateBv, other);
				if (lost.length > 0) {
					expect(() => writeXstate(xstate, other)).toThrow(RangeError);
					return;
				}
				const moved = readXstate(writeXstate(xstate, other), other, "law");
				expect(moved.xstateBv).toBe(xstate.xstateBv);
				for (const [component, content] of xstate.components) {
					if ((xstate.xstateBv & componentBit(component)) !== 0n) {
						expect(moved.components.get(component)).toEqual(content);
					}
				}
			}),
			{ numRuns: 60 },
		);
	});

	it("is normal once normalised", () => {
		fc.assert(
			fc.property(placed, ([, xstate]) => {
				const normal = normaliseXstate(xstate);
				expect(normaliseXstate(normal)).toEqual(normal);
				expect(normal.xstateBv).toBe(xstate.xstateBv);
			}),
			{ numRuns: 40 },
		);
	});

	it("of any bytes, with any layout note, is read or refused in words", () => {
		fc.assert(
			fc.property(fc.uint8Array({ maxLength: 900 }), fc.uint8Array({ maxLength: 64 }), word, (area, note, xcr0) => {
				for (const layout of [
					() => xstateLayoutFromNote(note, "law"),
					() => guessXstateLayout(area.length, xcr0, "kernel", "law"),
				]) {
					try {
						readXstate(area, layout(), "law");
					} catch (error) {
						expect(error).toBeInstanceOf(NecromancerError);
					}
				}
			}),
		);
	});
});

describe("the restart of an interrupted call", () => {
	const regs: fc.Arbitrary<UserRegs> = fc
		.tuple(bytes(userRegs.size), word, fc.oneof(word, fc.constantFrom(0n, 35n, 202n, 219n, 0xffff_ffff_ffff_ffffn)))
		.map(([raw, ax, orig_ax]) => ({ ...userRegs.decode(raw), ax, orig_ax }));
	const code = fc.constantFrom(512n, 513n, 514n, 516n).map((n) => BigInt.asUintN(64, -n));

	it("touches nothing but ax and ip, and leaves nothing to do", () => {
		fc.assert(
			fc.property(regs, fc.option(code, { nil: undefined }), (raw, restart) => {
				const before = restart === undefined ? raw : { ...raw, ax: restart };
				const { regs: after, restart: done } = restartFixup(before);
				expect({ ...after, ax: before.ax, ip: before.ip }).toEqual(before);
				expect(restartFixup(after)).toEqual({ regs: after, restart: "none" });
				const inCall = BigInt.asIntN(64, before.orig_ax) >= 0n;
				if (!inCall) expect(done).toBe("none");
				if (inCall && restart !== undefined) expect(done).not.toBe("none");
				if (done !== "restarted") expect(after.ip).toBe(before.ip);
				else expect([after.ax, BigInt.asUintN(64, after.ip + 2n)]).toEqual([before.orig_ax, before.ip]);
			}),
		);
	});
});

describe("signals", () => {
	const signals = fc.uniqueArray(fc.integer({ min: 1, max: 64 }));

	it("a set is the signals in it", () => {
		fc.assert(
			fc.property(signals, signals, (some, others) => {
				const set = withSignals(0n, ...some);
				expect(signalsIn(set)).toEqual([...some].sort((a, b) => a - b));
				expect(signalsIn(withoutSignals(set, ...others))).toEqual(signalsIn(set).filter((n) => !others.includes(n)));
			}),
		);
	});

	it("any 128 bytes have a description of one printable line", () => {
		fc.assert(
			fc.property(
				bytes(124),
				fc.integer({ min: 0, max: 70 }),
				fc.integer({ min: -61, max: 130 }),
				(rest, signo, si) => {
					const raw = Buffer.concat([Buffer.alloc(4), rest]);
					raw.writeInt32LE(signo, 0);
					raw.writeInt32LE(si, 8);
					expect(describeSiginfo(raw)).toMatch(/^[ -~]+$/);
				},
			),
		);
	});
});

describe("a trimmed auxiliary vector", () => {
	const pairs: fc.Arbitrary<AuxvPair[]> = fc.array(
		fc.record({ type: fc.oneof(fc.nat(60), fc.nat()), value: fc.bigInt({ min: 0n, max: 9n }) }),
		{ maxLength: 300 },
	);
	const essential: readonly number[] = [
		...[AT.PHDR, AT.PHENT, AT.PHNUM, AT.BASE, AT.ENTRY, AT.SYSINFO_EHDR, AT.PAGESZ, AT.RANDOM, AT.EXECFN],
		...[AT.SECURE, AT.UID, AT.EUID, AT.GID, AT.EGID, AT.HWCAP, AT.CLKTCK],
	];

	it("fits, keeps the order, drops no more than it must, and the first of each essential pair stays", () => {
		fc.assert(
			fc.property(pairs, fc.integer({ min: 32, max: 80 }), (given, maxWords) => {
				const end = given.findIndex(({ type }) => type === AT.NULL);
				const meant = given.slice(0, end < 0 ? given.length : end).filter(({ type }) => type !== AT.IGNORE);
				const { kept, dropped } = trimAuxv(given, maxWords);
				expect(kept.length).toBe(Math.min(meant.length, Math.floor(maxWords / 2)));
				expect(kept.length + dropped.length).toBe(meant.length);
				const left = new Set(kept);
				expect(meant.filter((pair) => left.has(pair))).toEqual(kept);
				for (const type of essential) {
					const first = meant.find((pair) => pair.type === type);
					if (first !== undefined) expect(left.has(first)).toBe(true);
				}
			}),
		);
	});
});
