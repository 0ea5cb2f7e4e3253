import {
	EINTR,
	ERESTART_RESTARTBLOCK,
	ERESTARTNOHAND,
	ERESTARTNOINTR,
	ERESTARTSYS,
	errorResult,
} from "../../linux/errno.ts";
import type { UserRegs } from "./registers.ts";
import { syscallNumber, syscallNumbers } from "./syscalls.ts";

/** Bytes of the `syscall` (0f 05) and `int 0x80` (cd 80) instructions. */
export const SYSCALL_BYTES = 2;

const NR_RESTART_SYSCALL = BigInt(syscallNumber("restart_syscall"));

export interface RestartFixup {
	readonly regs: UserRegs;
	/** `restarted`: the call is made again from its start; `interrupted`: it returns EINTR; `none`: nothing was due. */
	readonly restart: "none" | "restarted" | "interrupted";
}

/**
 * What the kernel would have done to the registers of a thread on its way back from an interrupted system call
 * (arch/x86/kernel/signal.c, arch_do_signal_or_restart). A core holds them as they were before that, so a thread that
 * died asleep would resume with a bogus errno such as -512, on which glibc's futex code aborts. `orig_ax` is kept: it says
 * which call it was.
 *
 * Idempotent on its own output, because no restart code is left in `ax`.
 */
export function restartFixup(regs: UserRegs): RestartFixup {
	const call = BigInt.asIntN(64, regs.orig_ax);
	if (call < 0n) return { regs, restart: "none" };
	switch (BigInt.asIntN(64, regs.ax)) {
		case -BigInt(ERESTARTSYS):
		case -BigInt(ERESTARTNOINTR):
		case -BigInt(ERESTARTNOHAND):
			// restart_syscall asks the kernel for a restart block, which died with the thread: a new kernel answers EINTR.
			return call === NR_RESTART_SYSCALL ? interrupted(regs) : restarted(regs);
		case -BigInt(ERESTART_RESTARTBLOCK):
			// The block would hold what is left of a timeout. Restarting the call from its start could sleep far too long;
			// EINTR is what the program is told after any stop and continue, and it knows how long to go on.
			return interrupted(regs);
		default:
			return { regs, restart: "none" };
	}
}

const restarted = (regs: UserRegs): RestartFixup => ({
	regs: { ...regs, ax: regs.orig_ax, ip: BigInt.asUintN(64, regs.ip - BigInt(SYSCALL_BYTES)) },
	restart: "restarted",
});

const interrupted = (regs: UserRegs): RestartFixup => ({
	regs: { ...regs, ax: BigInt.asUintN(64, errorResult(EINTR)) },
	restart: "interrupted",
});

/** The system calls that leave a restart block behind when they are interrupted (`set_restart_fn` of the kernel). */
const resumable: ReadonlySet<number | undefined> = new Set(
	["poll", "nanosleep", "futex", "clock_nanosleep"].map((name) => syscallNumbers.get(name)),
);

/** `mov eax, imm32` right before a `syscall`, as every libc has it: b8, four bytes, 0f 05. */
export const RESTART_CODE_BYTES = 7;

/**
 * The registers with which a living thread, stopped in a system call, makes that call again from its start: what an image of
 * it holds. Unlike a dead thread it was not told to stop: a relative sleep starts again as a whole, rather than to end
 * with an EINTR that a program without signal handlers never sees.
 *
 * folklore: a thread that was stopped before, by a debugger or by job control, sleeps in restart_syscall(2), and its registers
 * no longer say in what. The instruction that loaded the number does.
 *
 * @param code The {@link RESTART_CODE_BYTES} bytes before `ip`; nothing where they cannot be read.
 */
export function windBack(regs: UserRegs, code: Uint8Array = new Uint8Array()): UserRegs {
	const interrupted = BigInt.asIntN(64, regs.ax) === -BigInt(ERESTART_RESTARTBLOCK);
	const call = BigInt.asIntN(64, regs.orig_ax);
	if (!interrupted || call < 0n) return restartFixup(regs).regs;
	if (call !== NR_RESTART_SYSCALL) return restarted(regs).regs;
	const number = loadedNumber(code);
	return resumable.has(number) ? restarted({ ...regs, orig_ax: BigInt(number ?? 0) }).regs : restartFixup(regs).regs;
}

/**
 * The registers of a thread that a signal handler had interrupted in a system call, as a core has those of a thread asleep in it:
 * the frame says what the call returned, or where it is made again, but no longer which it was. The instruction that loaded the
 * number does; libcs that take it from elsewhere (musl, syscall(3)) do not tell.
 *
 * @param code The bytes around `ip`: {@link RESTART_CODE_BYTES} before it, and {@link SYSCALL_BYTES} of the instruction at it.
 */
export function interruptedCall(regs: UserRegs, code: Uint8Array): UserRegs {
	const behind = loadedNumber(code.subarray(0, RESTART_CODE_BYTES));
	if (BigInt.asIntN(64, regs.ax) === errorResult(EINTR) && behind !== undefined)
		return { ...regs, orig_ax: BigInt(behind) };
	const at = loadedNumber(code.subarray(SYSCALL_BYTES));
	if (at === undefined || regs.ax !== BigInt(at)) return regs;
	return {
		...regs,
		ax: BigInt.asUintN(64, -BigInt(ERESTARTSYS)),
		orig_ax: BigInt(at),
		ip: regs.ip + BigInt(SYSCALL_BYTES),
	};
}

function loadedNumber(code: Uint8Array): number | undefined {
	const [load, , , , , syscall, and] = code;
	if (code.length !== RESTART_CODE_BYTES || load !== 0xb8 || syscall !== 0x0f || and !== 0x05) return undefined;
	return new DataView(code.buffer, code.byteOffset).getUint32(1, true);
}
