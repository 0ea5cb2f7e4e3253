import type { UserRegs } from "../../arch/x86-64/registers.ts";
import { interruptedCall, RESTART_CODE_BYTES, SYSCALL_BYTES } from "../../arch/x86-64/restart.ts";
import { syscallName } from "../../arch/x86-64/syscalls.ts";
import { address, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import { codeAt, type OpenObject } from "./program-objects.ts";
import { type FrameOf, interruptedRegisters, type SignalFrame } from "./signal-frame.ts";

/** A system call that a thread was in when it died, or that a handler had interrupted which it was in. */
export interface BlockingCall {
	readonly tid: number;
	/** By name. */
	readonly call: string;
	/** As inside of it: its arguments, and in `ax` what it is to answer; or right before it. */
	readonly registers: UserRegs;
	/** The frame of the handler that had interrupted it; absent where the thread itself was in the call. */
	readonly handler?: SignalFrame;
}

/** Handlers within handlers, at most. */
const MOST = 16;

/**
 * The system calls that threads were in, of each thread the innermost first. Registers name one; those of a thread that a
 * signal had interrupted stand in the frame of the handler (redis, dying in its handler of SIGSEGV, waits in epoll_wait(2) there),
 * and no longer say which call it was: the instruction does that loaded its number, in the core or in this host's file.
 */
export const blockingCalls = (
	{ threads, memory }: Pick<PartialTask, "threads" | "memory">,
	frameOf: FrameOf,
	open: OpenObject,
): BlockingCall[] => threads.flatMap((thread) => callsOf(thread, memory, frameOf, open));

function callsOf(thread: PartialThread, memory: PartialMemory, frameOf: FrameOf, open: OpenObject): BlockingCall[] {
	const calls: BlockingCall[] = [];
	let at = thread;
	let handler: SignalFrame | undefined;
	for (let level = 0; level <= MOST; level++) {
		const registers = inItsCall(at.registers, memory, open);
		const call = isInCall(registers, memory) ? syscallName(registers.orig_ax) : undefined;
		if (call !== undefined) calls.push({ tid: thread.tid, call, registers, ...defined({ handler }) });
		handler = frameOf(at);
		if (handler === undefined) break;
		at = { ...at, registers: interruptedRegisters(handler, at.registers) };
	}
	return calls;
}

/** A non-negative ax is the result of a call that has returned. */
const isInCall = (registers: UserRegs, memory: PartialMemory): boolean =>
	BigInt.asIntN(64, registers.orig_ax) >= 0n && (BigInt.asIntN(64, registers.ax) < 0n || isAtCall(registers, memory));

/** Whether the call is still to be made: a core that was made of images has registers that are wound back. */
const isAtCall = ({ ip }: UserRegs, memory: PartialMemory): boolean =>
	memory.read(address(ip), SYSCALL_BYTES)?.readUInt16BE(0) === SYSCALL;

/** The instruction. */
const SYSCALL = 0x0f05;

/** The registers inside the call that a handler had interrupted, where the code around the instruction tells which it was. */
function inItsCall(registers: UserRegs, memory: PartialMemory, open: OpenObject): UserRegs {
	if (BigInt.asIntN(64, registers.orig_ax) >= 0n) return registers;
	const before = plus(address(registers.ip), -BigInt(RESTART_CODE_BYTES));
	const code = codeAt(memory, open, before, RESTART_CODE_BYTES + SYSCALL_BYTES);
	return code === undefined ? registers : interruptedCall(registers, code);
}
