/** The most descriptors that an `fd_set` of glibc can hold (__FD_SETSIZE); the kernel takes longer ones. */
export const FD_SETSIZE = 1024;

/** Bytes of an `fd_set` for `count` descriptors, in the 64-bit words that select(2) reads. */
export const fdSetBytes = (count: number): number => Math.ceil(count / 64) * 8;

/** The descriptors of an `fd_set`, ascending. */
export const fdsIn = (set: Uint8Array, count: number): number[] =>
	Array.from({ length: Math.min(count, set.length * 8) }, (_, fd) => fd).filter(
		(fd) => (((set[fd >> 3] ?? 0) >> (fd & 7)) & 1) === 1,
	);
