import { i16, i32, layout, u32, u64 } from "../bytes/layout.ts";

/** There is something to read; of a pidfd, that the process has ended. */
export const POLLIN = 1;

/** There is room to write; the other end is gone. */
export const POLLOUT = 4;
export const POLLHUP = 0x10;

/** `struct pollfd` (include/uapi/asm-generic/poll.h): 8 bytes. A negative `fd` is passed over. */
export const pollfd = layout("pollfd", { fd: i32, events: i16, revents: i16 });

/** The most descriptors that an `fd_set` of glibc can hold (__FD_SETSIZE); the kernel takes longer ones. */
export const FD_SETSIZE = 1024;

/** Bytes of an `fd_set` for `count` descriptors, in the 64-bit words that select(2) reads. */
export const fdSetBytes = (count: number): number => Math.ceil(count / 64) * 8;

/** The descriptors of an `fd_set`, ascending. */
export const fdsIn = (set: Uint8Array, count: number): number[] =>
	Array.from({ length: Math.min(count, set.length * 8) }, (_, fd) => fd).filter(
		(fd) => (((set[fd >> 3] ?? 0) >> (fd & 7)) & 1) === 1,
	);

/** epoll_ctl(2) */
export const EPOLL_CTL_ADD = 1;

/** The one event that every descriptor to be read from is watched for. */
export const EPOLLIN = 1;

/** `struct epoll_event` (include/uapi/linux/eventpoll.h): 12 bytes, for on x86-64 it is packed. */
export const epollEvent = layout("epoll_event", { events: u32, data: { ...u64, align: 4 } });
