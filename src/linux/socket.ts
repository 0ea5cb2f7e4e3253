/** getsockopt(2) (include/uapi/asm-generic/socket.h): the family that a socket is of. */
export const SOL_SOCKET = 1;
export const SO_DOMAIN = 39;

/** Families (include/linux/socket.h). */
export const AF = { UNIX: 1, INET: 2, INET6: 10, NETLINK: 16, PACKET: 17 } as const;
