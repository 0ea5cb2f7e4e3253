import { bytes, i32, layout, u64 } from "../bytes/layout.ts";

/** `struct sigevent` (include/uapi/asm-generic/siginfo.h), of which the kernel reads the thread of the union: 64 bytes. */
export const sigevent = layout("sigevent", {
	sigev_value: u64,
	sigev_signo: i32,
	sigev_notify: i32,
	/** For SIGEV_THREAD_ID. */
	sigev_notify_thread_id: i32,
	_pad: bytes(44),
});

/** `sigev_notify`. */
export const SIGEV = { SIGNAL: 0, NONE: 1, THREAD: 2, THREAD_ID: 4 } as const;
