import type { UserRegs } from "../../arch/x86-64/registers.ts";
import {
	FP_XSTATE_MAGIC1,
	FPSTATE_ALIGN,
	FPX_SW_BYTES,
	fpxSwBytes,
	type sigcontext,
	type stackT,
	UC,
	USER_CS,
	ucontext,
} from "../../arch/x86-64/sigframe.ts";
import { type Address, address, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { type Struct, viewOf } from "../../bytes/layout.ts";
import { contains, firstEndingAbove, rangeAt } from "../../bytes/range.ts";
import type { PartialMemory, PartialThread } from "../../forest/partial-task.ts";
import type { AlternateStack } from "../../forest/task.ts";
import { PROT_EXEC } from "../../linux/mman.ts";
import { SIGINFO_SIZE, siginfoHead } from "../../linux/siginfo.ts";
import { SIGNAL_MAX, SMALLEST_ALTERNATE_STACK, SS_AUTODISARM, SS_DISABLE } from "../../linux/signal.ts";

/** What the kernel left on a stack when it called a handler. */
export interface SignalFrame {
	readonly at: Address;
	/** The signal whose handler was called; absent without SA_SIGINFO. */
	readonly signal?: number;
	/** The mask that comes back when the handler returns. */
	readonly interruptedMask: bigint;
	/** As it was set when the handler was called. */
	readonly alternateStack?: AlternateStack;
	/** What the handler returns to; of the registers, all but the bases of fs and gs. */
	readonly interrupted: Struct<typeof sigcontext>;
	/** The processor's number of the last fault that the thread had had by then; 0 for none. */
	readonly trap: bigint;
}

/** `struct rt_sigframe` (arch/x86/include/asm/sigframe.h): the restorer's address, the ucontext, the siginfo. */
const UCONTEXT = 8;
const SIGINFO = UCONTEXT + ucontext.size;
const FRAME = SIGINFO + SIGINFO_SIZE;

/** The frame is aligned like a call's, and lies below the XSAVE area by less than this. */
const SLACK = 32;

/** How far up a stack a frame is looked for, and how far up all stacks together, bytes. */
const SEARCHED = 256 * 1024;
const SEARCHED_OF_ALL = 256 * 1024 * 1024;

/** What the kernel leaves free below an interrupted stack pointer: the red zone, and what alignment takes. */
const ABOVE_FRAME = 256n;

const magic = Buffer.alloc(4);
magic.writeUInt32LE(FP_XSTATE_MAGIC1);

/** The innermost signal frame on a thread's stack. */
export type FrameOf = (thread: PartialThread) => SignalFrame | undefined;

/**
 * Looks for signal frames on the stacks of a process: an XSAVE area with the kernel's mark, below it a frame that points at it
 * and returns into code, and both where the kernel would have put them for this thread's stack pointer.
 *
 * folklore: goroutine stacks (seen with Go 1.19) lie side by side in one mapping, with old signal frames of other threads above
 * this one's; the search stops at the next thread's stack pointer.
 *
 * @param threads of the process: the more, the less far is looked.
 */
export function signalFrames(threads: readonly PartialThread[], memory: PartialMemory): FrameOf {
	const most = BigInt(Math.max(4096, Math.min(SEARCHED, Math.floor(SEARCHED_OF_ALL / threads.length))));
	const pointers = [...BigUint64Array.from(threads, ({ registers }) => registers.sp).sort()].map((end) => ({ end }));
	return ({ registers }) => {
		const sp = address(registers.sp);
		const stack = rangeAt(memory.mappings, sp);
		if (stack === undefined) return undefined;
		const others = pointers[firstEndingAbove(pointers, sp)]?.end ?? stack.end;
		const room = (others < stack.end ? others : stack.end) - sp;
		const bytes = memory.read(sp, Number(room < most ? room : most));
		if (bytes === undefined) return undefined;
		for (const found of framesIn(bytes, sp, memory)) return found;
		return undefined;
	};
}

/** How far below a stack pointer the frame of a handler may end that has returned: one frame, and what the handler took below it. */
const LEFT = 64n * 1024n;

/**
 * Whether a fault's handler has just returned to the thread's ip: its frame still lies below the stack pointer, and the
 * instruction will fault again. folklore: glog's handler re-raises by kill(2); the signal stays blocked until the handler
 * returns.
 */
export function hasFaultedHere({ registers }: PartialThread, memory: PartialMemory): boolean {
	const stack = rangeAt(memory.mappings, address(registers.sp - 1n));
	if (stack === undefined) return false;
	const start = registers.sp - stack.start < LEFT ? stack.start : address(registers.sp - LEFT);
	const bytes = memory.read(start, Number(registers.sp - start));
	if (bytes === undefined) return false;
	for (const { trap, interrupted } of framesIn(bytes, start, memory))
		if (trap !== 0n && interrupted.rip === registers.ip && interrupted.rsp === registers.sp) return true;
	return false;
}

/** The registers that a thread has again when it has returned from a handler. */
export function interruptedRegisters({ interrupted }: SignalFrame, own: UserRegs): UserRegs {
	const { r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags } = interrupted;
	return {
		...own,
		...{ r8, r9, r10, r11, r12, r13, r14, r15, di: rdi, si: rsi, bp: rbp, bx: rbx, dx: rdx, ax: rax, cx: rcx },
		...{ sp: rsp, ip: rip, flags: eflags },
		// no system call to restart: an interrupted one has its result in ax already
		orig_ax: (1n << 64n) - 1n,
	};
}

/** @param start Where the bytes are in memory. */
function* framesIn(bytes: Buffer, start: Address, memory: PartialMemory): Generator<SignalFrame> {
	for (let mark = bytes.indexOf(magic); mark >= 0; mark = bytes.indexOf(magic, mark + 1)) {
		const fpstate = start + BigInt(mark - FPX_SW_BYTES);
		if (fpstate % BigInt(FPSTATE_ALIGN) !== 0n) continue;
		const found = frameBelow(bytes, mark - FPX_SW_BYTES, start, memory);
		if (found !== undefined) yield found;
	}
}

function frameBelow(bytes: Buffer, fpstate: number, sp: Address, memory: PartialMemory): SignalFrame | undefined {
	for (let start = fpstate - FRAME; start >= 0 && start > fpstate - FRAME - SLACK; start--) {
		const at = plus(sp, BigInt(start));
		if (at % 16n !== 8n) continue;
		const context = ucontext.read(viewOf(bytes), start + UCONTEXT);
		const { uc_flags, uc_link, uc_mcontext, uc_stack, uc_sigmask } = context;
		if (uc_mcontext.fpstate !== plus(sp, BigInt(fpstate)) || BigInt(uc_mcontext.cs) !== USER_CS) continue;
		if ((uc_flags & BigInt(UC.FP_XSTATE)) === 0n || uc_link !== 0n) continue;
		if (!isCode(memory, bytes.readBigUInt64LE(start))) continue;
		const mark = bytes.subarray(fpstate + FPX_SW_BYTES);
		if (mark.length < fpxSwBytes.size) continue;
		const { extended_size } = fpxSwBytes.decode(mark);
		const end = plus(sp, BigInt(fpstate + extended_size));
		if (!isInPlace({ at, end }, sp, uc_stack, uc_mcontext.rsp)) continue;
		const { si_signo } = siginfoHead.decode(bytes.subarray(start + SIGINFO));
		const alternateStack = stackIn(uc_stack, memory);
		return {
			at,
			...(si_signo >= 1 && si_signo <= SIGNAL_MAX ? { signal: si_signo } : {}),
			interruptedMask: uc_sigmask,
			interrupted: uc_mcontext,
			trap: uc_mcontext.trapno,
			...defined({ alternateStack }),
		};
	}
	return undefined;
}

/**
 * A frame lies on the signal stack, where the handler still is, and what it interrupted was elsewhere; or right below what it
 * interrupted (`get_sigframe`, arch/x86/kernel/signal.c).
 */
function isInPlace(
	{ at, end }: { readonly at: Address; readonly end: Address },
	sp: Address,
	{ ss_sp, ss_flags, ss_size }: Struct<typeof stackT>,
	interrupted: bigint,
): boolean {
	const isOn = (place: bigint): boolean => (ss_flags & SS_DISABLE) === 0 && ss_sp <= place && place - ss_sp < ss_size;
	if (isOn(at) !== isOn(sp)) return false;
	if (isOn(at) && !isOn(interrupted)) return true;
	return interrupted >= end && interrupted - end < ABOVE_FRAME;
}

const isCode = (memory: PartialMemory, at: bigint): boolean =>
	((rangeAt(memory.mappings, address(at))?.prot ?? 0) & PROT_EXEC) !== 0;

/** The kernel disarms a stack that asks for it as long as the handler runs, and arms it again from the frame. */
function stackIn(
	{ ss_sp, ss_flags, ss_size }: ReturnType<typeof stackT.decode>,
	memory: PartialMemory,
): AlternateStack | undefined {
	if ((ss_flags & (SS_DISABLE | SS_AUTODISARM)) !== 0 || ss_size < SMALLEST_ALTERNATE_STACK) return undefined;
	const base = address(ss_sp);
	const mapping = rangeAt(memory.mappings, base);
	if (mapping === undefined || !contains(mapping, base)) return undefined;
	return { base, size: ss_size, flags: 0 };
}
