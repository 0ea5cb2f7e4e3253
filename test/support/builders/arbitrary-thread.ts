import fc from "fast-check";
import type { UserRegs } from "../../../src/arch/x86-64/registers.ts";
import type { Xstate } from "../../../src/arch/x86-64/xstate.ts";
import type { Thread } from "../../../src/forest/task.ts";
import { ofThread } from "./arbitrary-attributes.ts";
import { name, optional, place, said, u32, u64 } from "./arbitrary-values.ts";

const REGISTERS =
	"r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs".split(" ");
const registers = fc
	.array(u64, { minLength: REGISTERS.length, maxLength: REGISTERS.length })
	.map((values) => Object.fromEntries(REGISTERS.map((register, i) => [register, values[i]])) as unknown as UserRegs);

/** Bytes of each component that images know. */
const COMPONENTS = [
	[2, 256],
	[3, 64],
	[4, 64],
	[5, 64],
	[6, 512],
	[7, 1024],
	[9, 8],
] as const;
const words = (count: number): fc.Arbitrary<number[]> => fc.array(u32, { minLength: count, maxLength: count });
const xstate: fc.Arbitrary<Xstate> = fc
	.record({
		fx: fc.record({
			...{ cwd: u32, swd: u32, twd: u32, fop: u32, rip: u64, rdp: u64, mxcsr: u32, mxcsr_mask: u32 },
			...{ st_space: words(32), xmm_space: words(64), padding: fc.constant(new Array<number>(24).fill(0)) },
		}),
		known: fc.subarray([...COMPONENTS]),
		used: fc.subarray([0, 1, ...COMPONENTS.map(([component]) => component)]),
		fill: fc.uint8Array({ minLength: 8, maxLength: 8 }),
	})
	.map(({ fx, known, used, fill }) => ({
		fx,
		xcr0: known.reduce((mask, [component]) => mask | (1n << BigInt(component)), 3n),
		xstateBv: used.reduce((mask, component) => mask | (1n << BigInt(component)), 0n),
		components: new Map(
			known.map(([component, size]) => [
				component,
				Buffer.from(Array.from({ length: size }, (_, i) => (fill[i % 8] ?? 0) + (i >> 3))),
			]),
		),
	}));

/** 128 bytes each. */
export const siginfos = fc.array(fc.uint8Array({ minLength: 128, maxLength: 128 }), { maxLength: 2 });
const credentials = fc.record({
	...{ uid: u32, gid: u32, euid: u32, egid: u32, suid: u32, sgid: u32, fsuid: u32, fsgid: u32, securebits: u32 },
	...{ inheritable: u64, permitted: u64, effective: u64, bounding: u64, ambient: u64 },
	...{ groups: fc.array(u32, { maxLength: 4 }), noNewPrivileges: fc.boolean() },
});

/** Any thread that images can hold without loss. */
export const anyThread = (tid: number): fc.Arbitrary<Thread> =>
	fc
		.record({
			...{ tid: fc.constant(tid), name, registers, xstate, blocked: u64, pending: siginfos, credentials },
			alternateStack: optional(fc.record({ base: place, size: u64, flags: fc.constantFrom(0, 1, 0x8000_0000) })),
			clearTid: optional(place.filter((it) => it !== 0n)),
			attributes: ofThread,
			robustList: optional(place.filter((it) => it !== 0n)),
			rseq: optional(fc.record({ area: place.filter((it) => it !== 0n), size: u32, signature: u32 })),
			scheduling: fc.record({
				nice: fc.integer({ min: -20, max: 19 }),
				policy: fc.constantFrom(0, 1, 2, 3, 5),
				priority: fc.nat(99),
			}),
			parentDeathSignal: fc.nat(64),
			seccomp: fc.constantFrom("none" as const, "strict" as const),
		})
		.map((it) => said(it) as Thread);
