/** include/linux/socket.h, include/linux/net.h */
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
