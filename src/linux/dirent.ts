import { layout, u8, u16, u64 } from "../bytes/layout.ts";

/** `struct linux_dirent64` of getdents64(2) (include/linux/dirent.h), up to the first byte of its name. */
export const dirent64 = layout("linux_dirent64", { d_ino: u64, d_off: u64, d_reclen: u16, d_type: u8, d_name: u8 });

/** Bytes of the longest: a name of 255 and its NUL. */
export const LONGEST_DIRENT = 280;
