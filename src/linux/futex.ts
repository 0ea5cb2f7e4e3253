import { i64, layout, u64 } from "../bytes/layout.ts";

/** Operations of futex(2) (include/uapi/linux/futex.h). */
export const FUTEX = { WAIT: 0, WAKE: 1, WAKE_OP: 5, WAIT_BITSET: 9, WAIT_REQUEUE_PI: 11, LOCK_PI2: 13 } as const;

/** The operation without its flags; and the flag for times that are times of day. */
export const FUTEX_COMMAND = 0x7fn;
export const FUTEX_CLOCK_REALTIME = 0x100n;

/** Everybody who waits. */
export const ALL_WAITERS = 0x7fff_ffffn;

/** For FUTEX_WAKE_OP: store `value`, 0 to 4095, and wake nobody at the second word (FUTEX_OP(SET, value, CMP_LT, 0)). */
export const futexStore = (value: number): bigint => (2n << 24n) | (BigInt(value & 0xfff) << 12n);

/**
 * `struct robust_list_head` (include/uapi/linux/futex.h): where a thread keeps the locks that the kernel is to release
 * when it dies. 24 bytes, the only length set_robust_list(2) accepts. An empty list points at its own head.
 */
export const robustListHead = layout("robust_list_head", {
	/** `list.next`. */
	list: u64,
	/** Bytes from a list entry to its futex word, may be negative. */
	futex_offset: i64,
	list_op_pending: u64,
});
