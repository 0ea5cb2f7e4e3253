import { i16, i32, i64, layout } from "../bytes/layout.ts";
import { O } from "./open.ts";

/** Commands of fcntl(2) (include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h). */
export const F = {
	GETFD: 1,
	SETFD: 2,
	GETFL: 3,
	SETFL: 4,
	SETLK: 6,
	SETSIG: 10,
	GETSIG: 11,
	SETOWN_EX: 15,
	GETOWN_EX: 16,
	OFD_SETLK: 37,
	SETLEASE: 1024,
	DUPFD_CLOEXEC: 1030,
	SETPIPE_SZ: 1031,
	GETPIPE_SZ: 1032,
	ADD_SEALS: 1033,
	GET_SEALS: 1034,
} as const;

/** Types of locks and leases (include/uapi/asm-generic/fcntl.h). */
export const F_LCK = { RDLCK: 0, WRLCK: 1, UNLCK: 2 } as const;

/** `struct flock` (include/uapi/asm-generic/fcntl.h): 32 bytes. The whence is SEEK_SET. */
export const flockStruct = layout("flock", { l_type: i16, l_whence: i16, l_start: i64, l_len: i64, l_pid: i32 });

/** Operations of flock(2). */
export const LOCK = { SH: 1, EX: 2, NB: 4, UN: 8 } as const;

/** The one flag of a descriptor, as opposed to a description. */
export const FD_CLOEXEC = 1;

/** As a file descriptor: paths start at the working directory. As arguments are 64 bits wide, it is negative there too. */
export const AT_FDCWD = -100n;

/** What F_SETFL can change of a description (`SETFL_MASK`, fs/fcntl.c). */
export const SETTABLE_FLAGS = O.APPEND | O.NONBLOCK | O.ASYNC | O.DIRECT | O.NOATIME;

/** Whom `struct f_owner_ex` names. */
export const F_OWNER = { TID: 0, PID: 1, PGRP: 2 } as const;

/** `struct f_owner_ex` (include/uapi/asm-generic/fcntl.h): 8 bytes. */
export const fOwnerEx = layout("f_owner_ex", { type: i32, pid: i32 });

/** Modes of access(2), and the bits of one digit of a mode (include/linux/fs.h, MAY_ bits). */
export const ACCESS = { X_OK: 1, W_OK: 2, R_OK: 4 } as const;

/** Flags of the calls that end in `at` (include/uapi/linux/fcntl.h); one number means what its call takes it for. */
export const AT = { SYMLINK_NOFOLLOW: 0x100, REMOVEDIR: 0x200, EACCESS: 0x200, EMPTY_PATH: 0x1000 } as const;

/** Whence of lseek(2) (include/uapi/linux/fs.h). */
export const SEEK = { SET: 0, END: 2, DATA: 3, HOLE: 4 } as const;
