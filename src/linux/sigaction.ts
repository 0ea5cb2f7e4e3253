import { layout, u64 } from "../bytes/layout.ts";

/** `struct sigaction` of the kernel, not of libc (arch/x86/include/uapi/asm/signal.h): 32 bytes. */
export const kernelSigaction = layout("kernel_sigaction", {
	/** SIG_DFL 0, SIG_IGN 1, or an address. */
	sa_handler: u64,
	sa_flags: u64,
	sa_restorer: u64,
	sa_mask: u64,
});

/** Bytes of the kernel's `sigset_t`, the last argument of most signal calls. */
export const SIGSET_BYTES = 8n;

/** First argument of rt_sigprocmask(2): the set becomes the mask. */
export const SIG_SETMASK = 2n;

/** `stack_t.ss_flags`: there is none. */
export const SS_DISABLE = 2;

/** `stack_t.ss_flags`: while a handler runs on it, there is none. */
export const SS_AUTODISARM = 0x8000_0000;

/** MINSIGSTKSZ: a smaller alternate stack is refused, by rt_sigreturn without a word. Bytes. */
export const SMALLEST_ALTERNATE_STACK = 2048n;
