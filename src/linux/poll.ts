import { i16, i32, layout } from "../bytes/layout.ts";

/** There is something to read; of a pidfd, that the process has ended. */
export const POLLIN = 1;

/** `struct pollfd` (include/uapi/asm-generic/poll.h): 8 bytes. A negative `fd` is passed over. */
export const pollfd = layout("pollfd", { fd: i32, events: i16, revents: i16 });
