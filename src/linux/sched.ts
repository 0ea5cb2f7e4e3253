/** Policies of sched_setscheduler(2) (include/uapi/linux/sched.h). */
export const SCHED = { OTHER: 0, FIFO: 1, RR: 2, BATCH: 3, IDLE: 5, DEADLINE: 6, RESET_ON_FORK: 0x4000_0000 } as const;

/** First argument of setpriority(2): one thread, 0 for the caller. */
export const PRIO_PROCESS = 0n;
