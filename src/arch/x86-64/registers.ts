import { layout, type Struct, u64 } from "../../bytes/layout.ts";

/**
 * `struct user_regs_struct` (arch/x86/include/uapi/asm/ptrace.h order, as NT_PRSTATUS and PTRACE_GETREGS give it):
 * 27 words. `orig_ax` is the system call a thread is in, or -1 (all ones) when in none. CRIU's `user_x86_regs_entry`
 * numbers its fields in the same order.
 */
export const userRegs = layout("user_regs_struct", {
	r15: u64,
	r14: u64,
	r13: u64,
	r12: u64,
	bp: u64,
	bx: u64,
	r11: u64,
	r10: u64,
	r9: u64,
	r8: u64,
	ax: u64,
	cx: u64,
	dx: u64,
	si: u64,
	di: u64,
	orig_ax: u64,
	ip: u64,
	cs: u64,
	flags: u64,
	sp: u64,
	ss: u64,
	fs_base: u64,
	gs_base: u64,
	ds: u64,
	es: u64,
	fs: u64,
	gs: u64,
});

export type UserRegs = Struct<typeof userRegs>;

/** X86_EFLAGS_TF (arch/x86/include/uapi/asm/processor-flags.h): a trap follows every instruction. */
export const TRAP_FLAG = 0x100n;
