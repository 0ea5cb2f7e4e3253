import { layout, u64 } from "../bytes/layout.ts";

/** `struct iovec` (include/uapi/linux/uio.h): one piece of preadv(2) or process_vm_writev(2). */
export const iovec = layout("iovec", {
	iov_base: u64,
	/** Bytes. */
	iov_len: u64,
});

/** The most pieces of one call (UIO_MAXIOV). */
export const IOV_MAX = 1024;

/** `ioctl` that tells how many bytes wait to be read (include/uapi/asm-generic/ioctls.h); its argument points at an int. */
export const FIONREAD = 0x541b;

/** Of tee(2), splice(2) and vmsplice(2): does not wait, neither for bytes nor for room. */
export const SPLICE_F_NONBLOCK = 2;

/** include/linux/socket.h, include/linux/net.h */
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
