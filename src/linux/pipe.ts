/** `ioctl` that tells how many bytes wait to be read (include/uapi/asm-generic/ioctls.h); its argument points at an int. */
export const FIONREAD = 0x541b;

/** tee(2): does not wait for bytes. */
export const SPLICE_F_NONBLOCK = 2;
