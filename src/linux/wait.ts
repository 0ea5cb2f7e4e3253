import { SIGTRAP } from "./signal.ts";

/** Options of wait4(2) and waitid(2) (include/uapi/linux/wait.h). */
export const WAIT = { NOHANG: 1, UNTRACED: 2, EXITED: 4, CONTINUED: 8, NOWAIT: 0x100_0000, ALL: 0x4000_0000 } as const;

/** Of waitid(2): the process of that id. */
export const P_PID = 1n;

/** What of a status word says how a process has ended. */
export const WAIT_STATUS = 0xff7f;

/** In a status word: who was killed has left a core. */
export const CORE_DUMPED = 0x80;

/** What a status word of wait4(2) says (WIFEXITED(3) and its kin). */
export type WaitStatus =
	| { readonly kind: "exited"; readonly status: number }
	| { readonly kind: "killed"; readonly signal: number }
	/** Stopped at the entry or the exit of a system call. */
	| { readonly kind: "syscall" }
	/** Stopped by PTRACE_INTERRUPT (SIGTRAP) or with its group (the stop signal), or at another event of ptrace. */
	| { readonly kind: "event"; readonly event: number; readonly signal: number }
	/** Stopped with a signal that is about to be delivered, or, untraced, by it. */
	| { readonly kind: "signal"; readonly signal: number };

export function waitStatus(word: number): WaitStatus {
	const low = word & 0xff;
	const signal = (word >>> 8) & 0xff;
	const event = word >>> 16;
	if (low !== 0x7f) return low === 0 ? { kind: "exited", status: signal } : { kind: "killed", signal: low & 0x7f };
	if (event !== 0) return { kind: "event", event, signal };
	return signal === (SIGTRAP | 0x80) ? { kind: "syscall" } : { kind: "signal", signal };
}
