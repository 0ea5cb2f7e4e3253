import { type Address, address, plus } from "../../bytes/address.ts";
import { type Struct, viewOf } from "../../bytes/layout.ts";
import { contains, rangeAt } from "../../bytes/range.ts";
import { PROT_EXEC } from "../../linux/mman.ts";
import { SMALLEST_ALTERNATE_STACK, SS_AUTODISARM, SS_DISABLE } from "../../linux/sigaction.ts";
import {
	FP_XSTATE_MAGIC1,
	FPSTATE_ALIGN,
	FPX_SW_BYTES,
	type sigcontext,
	type stackT,
	UC,
	USER_CS,
	ucontext,
} from "../../linux/sigframe.ts";
import { SIGINFO_SIZE, siginfoHead } from "../../linux/siginfo.ts";
import { SIGNAL_MAX } from "../../linux/signal.ts";
import type { PartialMemory, PartialThread } from "../partial-task.ts";
import type { AlternateStack } from "../task.ts";

/** What the kernel left on a stack when it called a handler. */
export interface SignalFrame {
	readonly at: Address;
	/** The signal whose handler was called; handlers without SA_SIGINFO are not told, and then nor are we. */
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

const magic = Buffer.alloc(4);
magic.writeUInt32LE(FP_XSTATE_MAGIC1);

/**
 * The innermost signal frame on a thread's stack: an XSAVE area with the kernel's mark, and below it a frame that points at it
 * and returns into code.
 *
 * @param threads of the process: the more, the less far is looked.
 */
export function signalFrameOf(
	{ registers }: PartialThread,
	memory: PartialMemory,
	threads: number,
): SignalFrame | undefined {
	const sp = address(registers.sp);
	const stack = rangeAt(memory.mappings, sp);
	if (stack === undefined) return undefined;
	const room = stack.end - sp;
	const most = BigInt(Math.max(4096, Math.min(SEARCHED, Math.floor(SEARCHED_OF_ALL / threads))));
	const bytes = memory.read(sp, Number(room < most ? room : most));
	if (bytes === undefined) return undefined;
	for (let mark = bytes.indexOf(magic); mark >= 0; mark = bytes.indexOf(magic, mark + 1)) {
		const fpstate = sp + BigInt(mark - FPX_SW_BYTES);
		if (fpstate % BigInt(FPSTATE_ALIGN) !== 0n) continue;
		const found = frameBelow(bytes, mark - FPX_SW_BYTES, sp, memory);
		if (found !== undefined) return found;
	}
	return undefined;
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
		const { si_signo } = siginfoHead.decode(bytes.subarray(start + SIGINFO));
		const alternateStack = stackIn(uc_stack, memory);
		return {
			at,
			...(si_signo >= 1 && si_signo <= SIGNAL_MAX ? { signal: si_signo } : {}),
			interruptedMask: uc_sigmask,
			interrupted: uc_mcontext,
			trap: uc_mcontext.trapno,
			...(alternateStack === undefined ? {} : { alternateStack }),
		};
	}
	return undefined;
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
