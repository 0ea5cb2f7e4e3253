/** timerfd_settime(2) */
export const TFD_TIMER_ABSTIME = 1;

/** `ioctl` that puts expirations back (include/uapi/linux/timerfd.h); its argument points at 64 bits. */
export const TFD_IOC_SET_TICKS = 0x4008_5400;
