import { i16, i32, i64, type Layout, layout, type Struct, text, u8, u32, u64 } from "../bytes/layout.ts";

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

/** What a note of that kind says of a thread, whatever its registers. */
export type ElfPrstatus<R> = Omit<Struct<ReturnType<typeof prstatusWith>>, "pr_reg"> & { readonly pr_reg: R };

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
