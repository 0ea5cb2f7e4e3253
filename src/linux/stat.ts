import { array, layout, u8, u16, u32, u64 } from "../bytes/layout.ts";

/** What statx(2) is asked for (include/uapi/linux/stat.h). */
export const STATX = { INO: 0x100, BASIC: 0x7ff } as const;

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

/** `dev_t` as stat(2) gives it (glibc's gnu_dev_major and gnu_dev_minor). */
export const majorOf = (device: bigint): number =>
	Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn & 0xffff_ffffn));
export const minorOf = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n));

/** `dev_t` as the kernel has it (include/linux/kdev_t.h): the major number in the bits from 20 on, the minor one below. */
export const kernelDevice = (major: number, minor: number): number => major * (1 << 20) + minor;

/** `struct linux_dirent64` of getdents64(2) (include/linux/dirent.h), up to the first byte of its name. */
export const dirent64 = layout("linux_dirent64", { d_ino: u64, d_off: u64, d_reclen: u16, d_type: u8, d_name: u8 });

/** Bytes of the longest: a name of 255 and its NUL. */
export const LONGEST_DIRENT = 280;

/** The part of st_mode that says what kind of file it is (include/uapi/linux/stat.h), and the kinds. */
export const S_IFMT = 0o170000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
export const S_IFIFO = 0o010000;
export const S_IFSOCK = 0o140000;
