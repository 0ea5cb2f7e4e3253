import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from "./errno.ts";
import type { UserRegs } from "./registers.ts";
import { syscallNumbers } from "./syscalls.ts";

/** Bytes of the `syscall` (0f 05) and `int 0x80` (cd 80) instructions. */
const SYSCALL_BYTES = 2n;

const NR_RESTART_SYSCALL = BigInt(syscallNumbers.get("restart_syscall") ?? 219);

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
	regs: { ...regs, ax: regs.orig_ax, ip: BigInt.asUintN(64, regs.ip - SYSCALL_BYTES) },
	restart: "restarted",
});

const interrupted = (regs: UserRegs): RestartFixup => ({
	regs: { ...regs, ax: BigInt.asUintN(64, -BigInt(EINTR)) },
	restart: "interrupted",
});
