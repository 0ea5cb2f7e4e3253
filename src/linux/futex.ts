/** Operations of futex(2) (include/uapi/linux/futex.h). */
export const FUTEX = { WAIT: 0, WAKE: 1, WAKE_OP: 5 } as const;

/** Everybody who waits. */
export const ALL_WAITERS = 0x7fff_ffffn;

/** For FUTEX_WAKE_OP: store `value`, 0 to 4095, and wake nobody at the second word (FUTEX_OP(SET, value, CMP_LT, 0)). */
export const futexStore = (value: number): bigint => (2n << 24n) | (BigInt(value & 0xfff) << 12n);
