import { i64, layout, type Struct } from "../bytes/layout.ts";

/** `struct timespec` as the kernel's `__kernel_timespec` (include/uapi/linux/time_types.h): 16 bytes. */
export const timespec = layout("timespec", { tv_sec: i64, tv_nsec: i64 });

/** `struct itimerspec` (include/uapi/linux/time_types.h): 32 bytes. */
export const itimerspec = layout("itimerspec", { it_interval: timespec, it_value: timespec });

const NANOSECONDS = 1_000_000_000n;

export const timespecOf = (nanoseconds: bigint): Struct<typeof timespec> => ({
	tv_sec: nanoseconds / NANOSECONDS,
	tv_nsec: nanoseconds % NANOSECONDS,
});

/** `struct __kernel_old_timeval` (include/uapi/linux/time_types.h): 16 bytes. */
export const timeval = layout("timeval", { tv_sec: i64, tv_usec: i64 });

/** `struct itimerval` (include/uapi/linux/time.h): 32 bytes. */
export const itimerval = layout("itimerval", { it_interval: timeval, it_value: timeval });

const MICROSECONDS = 1_000_000n;

export const timevalOf = (microseconds: bigint): Struct<typeof timeval> => ({
	tv_sec: microseconds / MICROSECONDS,
	tv_usec: microseconds % MICROSECONDS,
});

export const microsecondsOf = ({ tv_sec, tv_usec }: Struct<typeof timeval>): bigint => tv_sec * MICROSECONDS + tv_usec;

/** First argument of setitimer(2). */
export const ITIMER = { REAL: 0, VIRTUAL: 1, PROF: 2 } as const;

/** Clocks that do not follow the time of day, and the time of day (include/uapi/linux/time.h). */
export const CLOCK = { REALTIME: 0, MONOTONIC: 1, BOOTTIME: 7, REALTIME_ALARM: 8, BOOTTIME_ALARM: 9 } as const;

export const nanosecondsOf = ({ tv_sec, tv_nsec }: Struct<typeof timespec>): bigint => tv_sec * NANOSECONDS + tv_nsec;

/** Readings of CLOCK_MONOTONIC and CLOCK_BOOTTIME at one moment, in nanoseconds. */
export interface Clocks {
	readonly monotonic: bigint;
	readonly boottime: bigint;
}

/** timerfd_settime(2) */
export const TFD_TIMER_ABSTIME = 1;

/** `ioctl` that puts expirations back (include/uapi/linux/timerfd.h); its argument points at 64 bits. */
export const TFD_IOC_SET_TICKS = 0x4008_5400;
