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
	GET_SECUREBITS: 27,
	SET_SECUREBITS: 28,
	SET_TIMERSLACK: 29,
	GET_TIMERSLACK: 30,
	SET_MM: 35,
	SET_CHILD_SUBREAPER: 36,
	GET_CHILD_SUBREAPER: 37,
	SET_NO_NEW_PRIVS: 38,
	GET_NO_NEW_PRIVS: 39,
	GET_TID_ADDRESS: 40,
	SET_THP_DISABLE: 41,
	GET_THP_DISABLE: 42,
	CAP_AMBIENT: 47,
	TIMER_CREATE_RESTORE_IDS: 77,
	SET_PTRACER: 0x59616d61,
} as const;

/** Second arguments of PR_SET_MM. All others need CAP_SYS_RESOURCE in the initial user namespace. */
export const PR_SET_MM = { MAP: 14, MAP_SIZE: 15 } as const;

/** Second arguments of PR_CAP_AMBIENT. */
export const PR_CAP_AMBIENT = { IS_SET: 1, RAISE: 2, LOWER: 3, CLEAR_ALL: 4 } as const;

/** Second arguments of PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15). */
export const PR_TIMER_CREATE_RESTORE_IDS = { OFF: 0, ON: 1 } as const;

/** Operations of arch_prctl(2) (arch/x86/include/uapi/asm/prctl.h). */
export const ARCH = { SET_GS: 0x1001, SET_FS: 0x1002, GET_FS: 0x1003, GET_GS: 0x1004, MAP_VDSO_64: 0x2003 } as const;

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
