import type { ModelMemory } from "../models/model-kernel.ts";

/** What rt_sigreturn takes from a frame. */
export interface FrameContent {
	readonly registers: Readonly<Record<string, bigint>>;
	readonly mask: bigint;
	readonly stack: { readonly base: bigint; readonly flags: number; readonly size: bigint };
	/** As the kernel goes about it: the XSAVE area, or nothing when it would fall back to less. */
	readonly area: Buffer;
	readonly xfeatures: bigint;
}

/** `struct sigcontext` in order (arch/x86/include/uapi/asm/sigcontext.h). */
const words = "r8 r9 r10 r11 r12 r13 r14 r15 di si bp bx dx ax cx sp ip flags".split(" ");

/**
 * Reads the `struct ucontext` at a stack pointer by the rules of arch/x86/kernel/signal_64.c and fpu/signal.c.
 *
 * @param size The kernel's own size of an XSAVE area, bytes.
 * @throws Error for what the kernel would kill for, or restore in part without a word.
 */
export function readFrame(memory: ModelMemory, at: bigint, size: number): FrameContent {
	const uc = Buffer.from(memory.read(at, 304));
	const expect = (what: string, found: bigint | number, wanted: bigint | number): void => {
		if (BigInt(found) !== BigInt(wanted)) throw new Error(`${what} is ${found}, not ${wanted}`);
	};
	expect("uc_flags", uc.readBigUInt64LE(0), 7);
	const context = 40;
	expect("cs", uc.readUInt16LE(context + 144), 0x33);
	expect("ss", uc.readUInt16LE(context + 150), 0x2b);
	const fpstate = uc.readBigUInt64LE(context + 184);
	expect("fpstate % 64", fpstate % 64n, 0);
	const software = Buffer.from(memory.read(fpstate + 464n, 48));
	expect("magic1", software.readUInt32LE(0), 0x46505853);
	expect("extended_size", software.readUInt32LE(4), size + 4);
	expect("xstate_size", software.readUInt32LE(16), size);
	expect("magic2", Buffer.from(memory.read(fpstate + BigInt(size), 4)).readUInt32LE(0), 0x46505845);
	const area = Buffer.from(memory.read(fpstate, size));
	const xfeatures = software.readBigUInt64LE(8);
	expect("xstate_bv beyond xfeatures", area.readBigUInt64LE(512) & ~xfeatures, 0);
	for (let i = 520; i < 576; i += 8) expect(`byte ${i}`, area.readBigUInt64LE(i), 0);
	expect("reserved bits of mxcsr", area.readUInt32LE(24) & ~0xffff, 0);
	return {
		registers: Object.fromEntries(words.map((name, i) => [name, uc.readBigUInt64LE(context + 8 * i)])),
		mask: uc.readBigUInt64LE(296),
		stack: { base: uc.readBigUInt64LE(16), flags: uc.readUInt32LE(24), size: uc.readBigUInt64LE(32) },
		area,
		xfeatures,
	};
}
