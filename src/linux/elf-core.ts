import { array, i16, i32, i64, type Layout, layout, type Struct, text, u8, u16, u32, u64 } from "../bytes/layout.ts";
import { userRegs } from "./registers.ts";

/** Note types of a core (include/uapi/linux/elf.h), under the owner names "CORE" and "LINUX". */
export const NT = {
	PRSTATUS: 1,
	FPREGSET: 2,
	PRPSINFO: 3,
	AUXV: 6,
	SIGINFO: 0x53494749,
	FILE: 0x46494c45,
	X86_XSTATE: 0x202,
	X86_SHSTK: 0x204,
	X86_XSAVE_LAYOUT: 0x205,
	GDB_TDESC: 0xff000000,
} as const;

const timeval = layout("timeval", { tv_sec: i64, tv_usec: i64 });

/** `struct elf_prstatus` (include/linux/elfcore.h) with the registers of a processor: one per thread. */
export const prstatusWith = <F extends object>(registers: Layout<F>) =>
	layout("elf_prstatus", { ...beforeRegisters, pr_reg: registers, pr_fpvalid: i32 });

const beforeRegisters = {
	si_signo: i32,
	si_code: i32,
	si_errno: i32,
	/** The fatal signal, the same in every thread of a kernel core; 0 in gdb's. */
	pr_cursig: i16,
	/** Thread-private pending signals, bit n-1 for signal n. */
	pr_sigpend: u64,
	/** Blocked signals. */
	pr_sighold: u64,
	/** Thread id in the dumper's pid namespace. */
	pr_pid: i32,
	pr_ppid: i32,
	pr_pgrp: i32,
	pr_sid: i32,
	pr_utime: timeval,
	pr_stime: timeval,
	pr_cutime: timeval,
	pr_cstime: timeval,
} as const;

/** Of x86-64: 336 bytes. */
export const elfPrstatus = layout("elf_prstatus", { ...beforeRegisters, pr_reg: userRegs, pr_fpvalid: i32 });

export type ElfPrstatus = Struct<typeof elfPrstatus>;

/** `struct elf_prpsinfo` (include/linux/elfcore.h, x86-64): 136 bytes, describes the group leader. */
export const elfPrpsinfo = layout("elf_prpsinfo", {
	pr_state: u8,
	pr_sname: u8,
	pr_zomb: u8,
	pr_nice: u8,
	pr_flag: u64,
	pr_uid: u32,
	pr_gid: u32,
	pr_pid: i32,
	pr_ppid: i32,
	pr_pgrp: i32,
	pr_sid: i32,
	pr_fname: text(16),
	pr_psargs: text(80),
});

export type ElfPrpsinfo = Struct<typeof elfPrpsinfo>;

/** One pair of NT_AUXV. The vector ends at AT_NULL. */
export const auxvPair = layout("Elf64_auxv_t", { a_type: u64, a_val: u64 });

/** The head and one row of NT_FILE (fs/binfmt_elf.c, fill_files_note): counts, rows, then the NUL-terminated names. */
export const fileNoteHead = layout("NT_FILE", { count: u64, page_size: u64 });
export const fileNoteRow = layout("NT_FILE row", { start: u64, end: u64, file_ofs: u64 });

/** One row of NT_X86_XSAVE_LAYOUT (`struct x86_xfeat_component`, arch/x86/include/uapi/asm/elf.h; kernels >= 6.12). */
export const xfeatComponent = layout("x86_xfeat_component", { type: u32, size: u32, offset: u32, flags: u32 });

/** `struct user_i387_struct`, the FXSAVE image of NT_FPREGSET and the first 512 bytes of an XSAVE area. */
export const fxregs = layout("fxregs_state", {
	cwd: u16,
	swd: u16,
	/** One tag bit per register, not the 16-bit x87 tag word. */
	twd: u16,
	fop: u16,
	rip: u64,
	rdp: u64,
	mxcsr: u32,
	mxcsr_mask: u32,
	/** Eight x87 registers of 16 bytes, as 32-bit words. */
	st_space: array(u32, 32),
	/** Sixteen XMM registers of 16 bytes, as 32-bit words. */
	xmm_space: array(u32, 64),
	/** Words 12.. of the reserved tail hold the kernel's software bytes: word 12/13 (byte 464) the XCR0 mask. */
	padding: array(u32, 24),
});

export type Fxregs = Struct<typeof fxregs>;
