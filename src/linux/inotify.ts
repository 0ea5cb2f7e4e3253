import { i32, layout, u32 } from "../bytes/layout.ts";

/** inotify_init1(2); O_CLOEXEC and O_NONBLOCK under other names. */
export const IN_NONBLOCK = 0o4000;

/** `ioctl` that says which number the next watch gets (include/uapi/linux/inotify.h, Linux 4.17, CONFIG_CHECKPOINT_RESTORE). */
export const INOTIFY_IOC_SETNEXTWD = 0x4004_4900;

/** `struct file_handle` (include/linux/fs.h), without its bytes. */
export const fileHandle = layout("file_handle", { handle_bytes: u32, handle_type: i32 });
