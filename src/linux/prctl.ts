import { layout, u32, u64 } from "../bytes/layout.ts";

/** Options of prctl(2) (include/uapi/linux/prctl.h). */
export const PR = {
	SET_PDEATHSIG: 1,
	GET_PDEATHSIG: 2,
	GET_DUMPABLE: 3,
	SET_DUMPABLE: 4,
	GET_KEEPCAPS: 7,
	SET_KEEPCAPS: 8,
	SET_NAME: 15,
	GET_NAME: 16,
	GET_SECCOMP: 21,
	SET_SECCOMP: 22,
	CAPBSET_READ: 23,
	CAPBSET_DROP: 24,
	GET_TSC: 25,
	SET_TSC: 26,
	GET_SECUREBITS: 27,
	SET_SECUREBITS: 28,
	SET_TIMERSLACK: 29,
	GET_TIMERSLACK: 30,
	MCE_KILL: 33,
	MCE_KILL_GET: 34,
	SET_MM: 35,
	SET_CHILD_SUBREAPER: 36,
	GET_CHILD_SUBREAPER: 37,
	SET_NO_NEW_PRIVS: 38,
	GET_NO_NEW_PRIVS: 39,
	GET_TID_ADDRESS: 40,
	SET_THP_DISABLE: 41,
	GET_THP_DISABLE: 42,
	CAP_AMBIENT: 47,
	GET_SPECULATION_CTRL: 52,
	SET_SPECULATION_CTRL: 53,
	SET_IO_FLUSHER: 57,
	GET_IO_FLUSHER: 58,
	SET_MDWE: 65,
	GET_MDWE: 66,
	SET_MEMORY_MERGE: 67,
	GET_MEMORY_MERGE: 68,
	TIMER_CREATE_RESTORE_IDS: 77,
	SET_PTRACER: 0x59616d61,
} as const;

/** Second arguments of PR_SET_MM. All others need CAP_SYS_RESOURCE in the initial user namespace. */
export const PR_SET_MM = { MAP: 14, MAP_SIZE: 15 } as const;

/** Second arguments of PR_CAP_AMBIENT. */
export const PR_CAP_AMBIENT = { IS_SET: 1, RAISE: 2, LOWER: 3, CLEAR_ALL: 4 } as const;

/** Second arguments of PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15). */
export const PR_TIMER_CREATE_RESTORE_IDS = { OFF: 0, ON: 1 } as const;

/** What PR_GET_TSC tells: rdtsc is allowed. */
export const PR_TSC_ENABLE = 1;

/** Second argument of PR_MCE_KILL, and what PR_MCE_KILL_GET tells of a process that never said anything. */
export const PR_MCE_KILL = { SET: 1, DEFAULT: 2 } as const;

/** Second arguments of PR_GET_SPECULATION_CTRL and PR_SET_SPECULATION_CTRL. */
export const PR_SPEC_OF = { STORE_BYPASS: 0, INDIRECT_BRANCH: 1, L1D_FLUSH: 2 } as const;

/** What PR_GET_SPECULATION_CTRL tells. */
export const PR_SPEC = { PRCTL: 1, ENABLE: 2, DISABLE: 4, FORCE_DISABLE: 8, DISABLE_NOEXEC: 16 } as const;

/** Operations of arch_prctl(2) (arch/x86/include/uapi/asm/prctl.h). */
export const ARCH = {
	SET_GS: 0x1001,
	SET_FS: 0x1002,
	GET_FS: 0x1003,
	GET_GS: 0x1004,
	GET_CPUID: 0x1011,
	SET_CPUID: 0x1012,
	GET_XCOMP_PERM: 0x1022,
	MAP_VDSO_64: 0x2003,
} as const;

/** `struct prctl_mm_map` (include/uapi/linux/prctl.h): what PR_SET_MM_MAP sets, 104 bytes. */
export const prctlMmMap = layout("prctl_mm_map", {
	start_code: u64,
	end_code: u64,
	start_data: u64,
	end_data: u64,
	start_brk: u64,
	brk: u64,
	start_stack: u64,
	arg_start: u64,
	arg_end: u64,
	env_start: u64,
	env_end: u64,
	/** `__u64 *`, an array of pairs. */
	auxv: u64,
	/** Bytes. */
	auxv_size: u32,
	/** A descriptor; all ones leaves the executable as it is. */
	exe_fd: u32,
});
