import type { Address } from "../../bytes/address.ts";
import { array, layout, u16, u32, u64, viewOf } from "../../bytes/layout.ts";
import { type SignalSet, SS_DISABLE } from "../../linux/signal.ts";
import type { UserRegs } from "./registers.ts";
import {
	INITIAL_PKRU,
	legalMxcsr,
	normaliseXstate,
	PKRU,
	writeXstate,
	type Xstate,
	type XstateLayout,
} from "./xstate.ts";
import { componentBit, componentsIn, SSE } from "./xstate-components.ts";

/*
 * The memory from which rt_sigreturn(2) makes a thread's registers (arch/x86/kernel/signal_64.c). The kernel reads no more
 * of `struct rt_sigframe` than its `struct ucontext`, which the stack pointer points at, and the XSAVE area that this
 * points at.
 */

/** `stack_t` (arch/x86/include/uapi/asm/signal.h). */
export const stackT = layout("stack_t", { ss_sp: u64, ss_flags: u32, ss_size: u64 });

/** `struct sigcontext` (arch/x86/include/uapi/asm/sigcontext.h), 256 bytes. fs_base and gs_base are not in it. */
export const sigcontext = layout("sigcontext", {
	r8: u64,
	r9: u64,
	r10: u64,
	r11: u64,
	r12: u64,
	r13: u64,
	r14: u64,
	r15: u64,
	rdi: u64,
	rsi: u64,
	rbp: u64,
	rbx: u64,
	rdx: u64,
	rax: u64,
	rcx: u64,
	rsp: u64,
	rip: u64,
	eflags: u64,
	cs: u16,
	gs: u16,
	fs: u16,
	ss: u16,
	err: u64,
	trapno: u64,
	oldmask: u64,
	cr2: u64,
	/** Address of the XSAVE area, a multiple of 64. */
	fpstate: u64,
	reserved1: array(u64, 8),
});

/** `struct ucontext` (arch/x86/include/uapi/asm/ucontext.h and asm-generic/ucontext.h), 304 bytes. */
export const ucontext = layout("ucontext", {
	uc_flags: u64,
	uc_link: u64,
	uc_stack: stackT,
	uc_mcontext: sigcontext,
	uc_sigmask: u64,
});

/** `struct _fpx_sw_bytes`: what the kernel adds to an XSAVE area at byte {@link FPX_SW_BYTES}, where the processor reads nothing. */
export const fpxSwBytes = layout("_fpx_sw_bytes", {
	magic1: u32,
	/** Bytes up to and with the second magic word. */
	extended_size: u32,
	/** The components that the area can hold. */
	xfeatures: u64,
	/** Bytes up to the second magic word. */
	xstate_size: u32,
	padding: array(u32, 7),
});

export const FPX_SW_BYTES = 464;
export const FP_XSTATE_MAGIC1 = 0x4650_5853;
export const FP_XSTATE_MAGIC2 = 0x4650_5845;

/** The XSAVE area must be aligned so, in bytes. */
export const FPSTATE_ALIGN = 64;

/** `uc_flags`: an XSAVE area follows, `ss` is meant, and is to be loaded whatever it is. */
export const UC = { FP_XSTATE: 1, SIGCONTEXT_SS: 2, STRICT_RESTORE_SS: 4 } as const;

/** `__USER_CS` and `__USER_DS`: the segments of 64-bit programs. */
export const USER_CS = 0x33n;
export const USER_SS = 0x2bn;

/** The bits that some x86-64 processor has in MXCSR: Intel's sixteen, and AMD's MM. */
const MXCSR_BITS = 0x2_ffff;

/** What a thread is to resume with. */
export interface Resumption {
	readonly registers: UserRegs;
	readonly xstate: Xstate;
	readonly blocked: SignalSet;
	readonly alternateStack?: { readonly base: Address; readonly size: bigint; readonly flags: number };
}

/** What the kernel of a processor takes for an XSAVE area. */
export interface Processor {
	readonly xstate: XstateLayout;
	/** The components that are switched on. */
	readonly xcr0: bigint;
}

/** Two pieces of memory; the 64-bit word at byte `fpstateAt` of the first is for the address of the second. */
export interface Sigframe {
	readonly ucontext: Uint8Array;
	readonly fpstateAt: number;
	/** To lie at a multiple of {@link FPSTATE_ALIGN}. */
	readonly fpstate: Uint8Array;
}

/** Builds the frame of one thread for one processor. Components in use that this does not have are left out ({@link lostComponents}). */
export function sigframe(thread: Resumption, processor: Processor): Sigframe {
	const { registers, blocked, alternateStack } = thread;
	const { r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags } = registers;
	return {
		ucontext: ucontext.encode({
			uc_flags: BigInt(UC.FP_XSTATE | UC.SIGCONTEXT_SS | UC.STRICT_RESTORE_SS),
			uc_link: 0n,
			uc_stack:
				alternateStack === undefined
					? { ss_sp: 0n, ss_flags: SS_DISABLE, ss_size: 0n }
					: { ss_sp: alternateStack.base, ss_flags: alternateStack.flags >>> 0, ss_size: alternateStack.size },
			uc_mcontext: {
				...{ r8, r9, r10, r11, r12, r13, r14, r15, rdi: di, rsi: si, rbp: bp, rbx: bx, rdx: dx, rax: ax, rcx: cx },
				...{ rsp: sp, rip: ip, eflags: flags, cs: Number(USER_CS), gs: 0, fs: 0, ss: Number(USER_SS) },
				...{ err: 0n, trapno: 0n, oldmask: 0n, cr2: 0n, fpstate: 0n, reserved1: [] },
			},
			uc_sigmask: blocked,
		}),
		fpstateAt: ucontext.offsetOf("uc_mcontext") + sigcontext.offsetOf("fpstate"),
		fpstate: fpstateFor(thread.xstate, processor),
	};
}

/** The components whose content a processor cannot hold, ascending: they come back in their initial state. */
export const lostComponents = ({ xstateBv, components }: Xstate, processor: Processor): number[] =>
	componentsIn(xstateBv & ~placed(processor)).filter((component) => {
		const bytes = components.get(component) ?? new Uint8Array();
		// Linux's own value for protection keys locks nothing that a process without keys could have
		if (component === PKRU && bytes.every((byte, i) => byte === initialPkru[i])) return false;
		return bytes.some((byte) => byte !== 0);
	});

/**
 * The XSAVE area in the standard format, whole. Anything less, a wrong size above all, makes the kernel restore x87 and SSE
 * only, without a word (check_xstate_in_sigframe, arch/x86/kernel/fpu/signal.c).
 */
function fpstateFor(xstate: Xstate, processor: Processor): Uint8Array {
	const kept = normaliseXstate(withPkru(xstate, processor));
	const fit = [...kept.components].filter(
		([component, { length }]) => processor.xstate.places.get(component)?.size === length,
	);
	const { size } = processor.xstate;
	const area = writeXstate(
		{
			fx: { ...kept.fx, mxcsr: legalMxcsr(kept.fx) & MXCSR_BITS },
			xcr0: processor.xcr0,
			xstateBv: kept.xstateBv & placed(processor),
			components: new Map(fit),
		},
		processor.xstate,
	);
	const bytes = new Uint8Array(size + 4);
	bytes.set(area);
	bytes.set(
		fpxSwBytes.encode({
			magic1: FP_XSTATE_MAGIC1,
			extended_size: size + 4,
			xfeatures: processor.xcr0,
			xstate_size: size,
			padding: [],
		}),
		FPX_SW_BYTES,
	);
	viewOf(bytes).setUint32(size, FP_XSTATE_MAGIC2, true);
	return bytes;
}

const placed = ({ xcr0, xstate: { places } }: Processor): bigint =>
	[...places.keys()].reduce((mask, component) => mask | componentBit(component), componentBit(SSE) | 1n) & xcr0;

/** A state that says nothing of protection keys would open all of them: PKRU's initial value is not Linux's. */
const withPkru = (xstate: Xstate, { xcr0 }: Processor): Xstate =>
	xstate.components.has(PKRU) || (xcr0 & componentBit(PKRU)) === 0n
		? xstate
		: {
				...xstate,
				xstateBv: xstate.xstateBv | componentBit(PKRU),
				components: new Map([...xstate.components, [PKRU, initialPkru]]),
			};

const initialPkru = new Uint8Array(8);
viewOf(initialPkru).setUint32(0, INITIAL_PKRU, true);
