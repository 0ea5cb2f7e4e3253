import { layout, u32, u64 } from "../bytes/layout.ts";

/** epoll_ctl(2) */
export const EPOLL_CTL_ADD = 1;

/** The one event that every descriptor to be read from is watched for. */
export const EPOLLIN = 1;

/** `struct epoll_event` (include/uapi/linux/eventpoll.h): 12 bytes, for on x86-64 it is packed. */
export const epollEvent = layout("epoll_event", { events: u32, data: { ...u64, align: 4 } });
