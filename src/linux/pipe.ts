/** `ioctl` that tells how many bytes wait to be read (include/uapi/asm-generic/ioctls.h); its argument points at an int. */
export const FIONREAD = 0x541b;

/** Of tee(2), splice(2) and vmsplice(2): does not wait, neither for bytes nor for room. */
export const SPLICE_F_NONBLOCK = 2;
