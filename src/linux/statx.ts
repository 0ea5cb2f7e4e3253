import { array, layout, u16, u32, u64 } from "../bytes/layout.ts";

/** Flags of the calls that end in `at` (include/uapi/linux/fcntl.h). */
export const AT = { REMOVEDIR: 0x200, EMPTY_PATH: 0x1000 } as const;

/** What statx(2) is asked for (include/uapi/linux/stat.h). */
export const STATX = { INO: 0x100 } as const;

/** `struct statx`: 256 bytes. Times are left as they lie. */
export const statx = layout("statx", {
	stx_mask: u32,
	stx_blksize: u32,
	stx_attributes: u64,
	stx_nlink: u32,
	stx_uid: u32,
	stx_gid: u32,
	stx_mode: u16,
	stx_ino: u64,
	stx_size: u64,
	stx_blocks: u64,
	stx_attributes_mask: u64,
	times: array(u64, 8),
	stx_rdev_major: u32,
	stx_rdev_minor: u32,
	stx_dev_major: u32,
	stx_dev_minor: u32,
	rest: array(u64, 14),
});
