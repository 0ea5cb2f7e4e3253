import { i16, i32, layout } from "../bytes/layout.ts";

/** `struct pollfd` (include/uapi/asm-generic/poll.h): 8 bytes. A negative `fd` is passed over. */
export const pollfd = layout("pollfd", { fd: i32, events: i16, revents: i16 });
