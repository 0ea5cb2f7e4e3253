/**
 * A clock of processor time as the kernel numbers it (include/linux/posix-timers.h, 6.12): a negative number that holds the
 * id of a process or of a thread. pthread_getcpuclockid(3) and clock_getcpuclockid(3) make them.
 */
export interface CpuClock {
	/** 0 for whoever uses it. */
	readonly id: number;
	/** Of one thread, not of the whole process. */
	readonly ofThread: boolean;
	/** What is counted: 0 all time with ticks (PROF), 1 that of the program (VIRT), 2 all, exactly (SCHED). */
	readonly which: number;
}

const OF_THREAD = 4;
const WHICH = 3;

/** Clocks of a device (/dev/ptp0) have this instead, and a descriptor for the id. */
const CLOCKFD = 3;

/** `undefined` for all other clocks. */
export function cpuClockOf(clock: number): CpuClock | undefined {
	const which = clock & WHICH;
	return clock >= 0 || which === CLOCKFD
		? undefined
		: { id: ~(clock >> 3), ofThread: (clock & OF_THREAD) !== 0, which };
}

export const numberOfCpuClock = ({ id, ofThread, which }: CpuClock): number =>
	(~id << 3) | (ofThread ? OF_THREAD : 0) | which;
