import { i64, layout, u64 } from "../bytes/layout.ts";

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
