import { i32, layout, u32, u64 } from "../bytes/layout.ts";

/** `struct msghdr` of recvmsg(2) and sendmsg(2) (include/linux/socket.h, `user_msghdr`). */
export const msghdr = layout("msghdr", {
	...{ msg_name: u64, msg_namelen: u32, msg_iov: u64, msg_iovlen: u64 },
	...{ msg_control: u64, msg_controllen: u64, msg_flags: u32 },
});

/** `struct cmsghdr`: its length with itself, level and type; the data follow, and the next begins at a multiple of 8. */
export const cmsghdr = layout("cmsghdr", { cmsg_len: u64, cmsg_level: i32, cmsg_type: i32 });

/** Flags of recvmsg(2) and sendmsg(2) (include/linux/socket.h). */
export const MSG = {
	PEEK: 2,
	CTRUNC: 8,
	TRUNC: 0x20,
	DONTWAIT: 0x40,
	NOSIGNAL: 0x4000,
	CMSG_CLOEXEC: 0x4000_0000,
} as const;

/** Descriptors that are sent along (include/linux/socket.h). */
export const SCM_RIGHTS = 1;

/** The most descriptors that one message has (include/net/scm.h). */
export const SCM_MAX_FD = 253;
