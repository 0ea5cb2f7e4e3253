import { describe, expect, test } from "vitest";
import { deduced, poke, told, withGlibc, withRegisters, words } from "../../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces, REG, registersOf } from "../../../support/builders/pair.ts";
import { only, present } from "../../../support/present.ts";

/*
 * struct rt_sigframe by hand (arch/x86/include/asm/sigframe.h, asm/ucontext.h, asm/sigcontext.h): the restorer's address,
 * the ucontext of 304 bytes, the siginfo; above it the XSAVE area with its mark at byte 464.
 */

const [P, libc] = [4096n, deadPlaces.libc];
const RESTORER = libc + P + 0x50n;
const sp = present(registersOf(deadPlaces, 0)[REG.sp]);
const FRAME = (sp & ~63n) + 0x108n;
const FPSTATE = FRAME + 440n;

interface Made {
	readonly restorer?: bigint;
	readonly flags?: bigint;
	readonly stack?: readonly [at: bigint, flags: number, size: bigint];
	readonly cs?: number;
	readonly fpstate?: bigint;
	readonly magic?: number;
	readonly signal?: number;
	/** The interrupted stack pointer. */
	readonly above?: bigint;
}

function frame(made: Made = {}): Buffer {
	const { restorer = RESTORER, flags = 7n, cs = 0x33, fpstate = FPSTATE, magic = 0x46505853, signal = 10 } = made;
	const { above = FPSTATE + 512n + 128n } = made;
	const [at, stackFlags, size] = made.stack ?? [deadPlaces.heap, 0, 8192n];
	const bytes = Buffer.alloc(Number(FPSTATE - FRAME) + 512);
	bytes.set(words(restorer, flags, 0n, at, BigInt(stackFlags), size));
	bytes.writeUInt16LE(cs, 8 + 40 + 144);
	bytes.writeBigUInt64LE(above, 8 + 40 + 120);
	bytes.writeBigUInt64LE(fpstate, 8 + 40 + 184);
	bytes.writeBigUInt64LE(0x8000n, 8 + 296);
	bytes.writeInt32LE(signal, 8 + 304);
	bytes.writeUInt32LE(magic, Number(FPSTATE - FRAME) + 464);
	bytes.writeUInt32LE(512, Number(FPSTATE - FRAME) + 468);
	return bytes;
}

const inside = (made?: Made) => deduced(poke(withGlibc(deadCore()), FRAME, frame(made)));
const alternate = (made?: Made) => inside(made).task.threads[0]?.alternateStack;

test("a frame lies as the kernel would have put it", () => {
	expect([FRAME % 16n, FPSTATE % 64n]).toEqual([8n, 0n]);
});

describe("a thread inside a handler", () => {
	test("has the alternate stack that its frame names, and says so", () => {
		const { heap } = deadPlaces;
		expect(alternate()).toEqual({ base: heap, size: 8192n, flags: 0 });
		expect(told(inside(), "thread-deduced").at(-1)).toBe(
			`note thread 500: is inside a handler of SIGUSR1 (frame at 0x${FRAME.toString(16)}), with a signal stack at 0x${heap.toString(16)}-0x${(heap + 8192n).toString(16)}`,
		);
	});

	test("does not know the signal where the handler was not told (no SA_SIGINFO)", () => {
		expect(told(inside({ signal: 0 }), "thread-deduced").at(-1)).toMatch(
			/^note thread 500: is inside a handler \(frame/,
		);
	});

	test.each([
		["none was set", { stack: [0n, 2, 0n] }],
		["it is disarmed while the handler runs", { stack: [deadPlaces.heap, 0x8000_0000, 8192n] }],
		["it is smaller than any can be", { stack: [deadPlaces.heap, 0, 1024n] }],
		["nothing is mapped there", { stack: [0x1234_0000n, 0, 8192n] }],
	] as const)("has none where %s", (_, made) => {
		expect(alternate(made)).toBeUndefined();
		expect(told(inside(made), "thread-deduced").at(-1)).toMatch(/, which runs on its own stack$/);
	});
});

describe("what only looks like a frame is none", () => {
	test.each([
		["returns to no code", { restorer: deadPlaces.heap }],
		["points at another XSAVE area", { fpstate: FPSTATE + 64n }],
		["is of a 32-bit program", { cs: 0x23 }],
		["has no XSAVE area by its flags", { flags: 6n }],
		["lacks the mark", { magic: 0x46505854 }],
		["interrupted what lies below it", { above: FRAME - 64n }],
		["interrupted what lies far above it", { above: FPSTATE + 4096n }],
		["lies on a signal stack on which the thread is not", { stack: [FRAME, 0, 4096n], above: deadPlaces.heap }],
	] as const)("when it %s", (_, made) => {
		expect(only(told(inside(made), "thread-deduced"))).toMatch(/control blocks of glibc/);
	});
});

test("a frame on the signal stack returns to anywhere else", () => {
	const stack = [sp & ~4095n, 0, 8192n] as const;
	expect(alternate({ stack, above: deadPlaces.heap })).toMatchObject({ size: 8192n });
	expect(alternate({ stack, above: FPSTATE + 512n + 128n })).toMatchObject({ size: 8192n });
	expect(alternate({ stack, above: FRAME - 64n })).toBeUndefined();
});

test("what lies above another thread's stack pointer is that thread's", () => {
	const core = poke(withGlibc(deadCore({ tids: [500, 501] })), FRAME, frame());
	const of = (changed: typeof core) => deduced(changed).task.threads.map(({ alternateStack }) => alternateStack?.size);
	expect(of(core)).toEqual([8192n, undefined]);
	expect(of(withRegisters(core, 501, { [REG.sp]: FRAME - 32n }))).toEqual([undefined, 8192n]);
});
