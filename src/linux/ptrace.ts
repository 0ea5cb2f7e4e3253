import { array, i32, layout, type Struct, u8, u32, u64 } from "../bytes/layout.ts";

/** Requests of ptrace(2) (include/uapi/linux/ptrace.h, arch/x86/include/uapi/asm/ptrace-abi.h). */
export const PTRACE = {
	/** At any address: 8 bytes. */
	PEEKDATA: 2,
	PEEKUSER: 3,
	CONT: 7,
	GETREGS: 12,
	SETREGS: 13,
	DETACH: 17,
	SYSCALL: 24,
	GETSIGINFO: 0x4202,
	GETREGSET: 0x4204,
	SETREGSET: 0x4205,
	SEIZE: 0x4206,
	INTERRUPT: 0x4207,
	LISTEN: 0x4208,
	PEEKSIGINFO: 0x4209,
	GETSIGMASK: 0x420a,
	SETSIGMASK: 0x420b,
	GET_SYSCALL_INFO: 0x420e,
	GET_RSEQ_CONFIGURATION: 0x420f,
	GET_SYSCALL_USER_DISPATCH_CONFIG: 0x4211,
} as const;

/** Options of PTRACE_SEIZE. */
export const PTRACE_O = {
	/** Stops at system calls are told from the signal SIGTRAP: they have bit 7 set. */
	TRACESYSGOOD: 0x1,
	/** The traced die with their tracer. */
	EXITKILL: 0x10_0000,
} as const;

/** What PTRACE_INTERRUPT ends in, and group stops. */
export const PTRACE_EVENT_STOP = 128;

/** `struct ptrace_syscall_info` as it is of an entry; of an exit, up to the result. */
export const ptraceSyscallInfo = layout("ptrace_syscall_info", {
	/** {@link PTRACE_SYSCALL_INFO} */
	op: u8,
	arch: u32,
	instruction_pointer: u64,
	stack_pointer: u64,
	/** Of an entry the number of the call, of an exit what it returns. */
	nr: u64,
	/** Of an entry only. */
	args: array(u64, 6),
});

export type PtraceSyscallInfo = Struct<typeof ptraceSyscallInfo>;

export const PTRACE_SYSCALL_INFO = { NONE: 0, ENTRY: 1, EXIT: 2, SECCOMP: 3 } as const;

/** `struct ptrace_peeksiginfo_args`: which of the signals that wait are copied out. */
export const ptracePeeksiginfoArgs = layout("ptrace_peeksiginfo_args", {
	/** How many to pass over. */
	off: u64,
	/** {@link PEEKSIGINFO_SHARED} */
	flags: u32,
	/** The most to copy. */
	nr: i32,
});

/** Those of the whole process, not of one thread. */
export const PEEKSIGINFO_SHARED = 1;

/** `struct ptrace_sud_config`. */
export const ptraceSudConfig = layout("ptrace_sud_config", {
	/** 0: system calls go to the kernel. */
	mode: u64,
	selector: u64,
	offset: u64,
	len: u64,
});

/** `struct ptrace_rseq_configuration`; all zeros where nothing is registered. */
export const ptraceRseqConfiguration = layout("ptrace_rseq_configuration", {
	rseq_abi_pointer: u64,
	rseq_abi_size: u32,
	signature: u32,
	flags: u32,
	pad: u32,
});
