import { layout, u64 } from "../bytes/layout.ts";

/** `struct iovec` (include/uapi/linux/uio.h): one piece of preadv(2) or process_vm_writev(2). */
export const iovec = layout("iovec", {
	iov_base: u64,
	/** Bytes. */
	iov_len: u64,
});

/** The most pieces of one call (UIO_MAXIOV). */
export const IOV_MAX = 1024;
