import type { Clocks } from "../linux/time.ts";

/** What the clocks of a process showed when it was dumped, or died: from there they are to go on. */
export interface ProcessClocks {
	/** CLOCK_MONOTONIC, nanoseconds. */
	readonly monotonic: bigint;
	/** CLOCK_BOOTTIME, nanoseconds; absent where only the other is known: then it is moved as far. */
	readonly boottime?: bigint;
	/** CLOCK_REALTIME at that moment, nanoseconds since 1970. It goes on by itself. */
	readonly realtime?: bigint;
	readonly witness: ClockWitness;
	/** Whose clocks these were, where that is known: as long as they run, the process needs no others. */
	readonly origin?: ClockOrigin;
}

/** How the clocks of a process are known, best first. */
export type ClockWitness =
	/** The user said so. */
	| "given"
	/** They were read: by a dump, ours or CRIU's. */
	| "read"
	/** This host's, when the core was written. */
	| "written"
	/** Memory: the clock stood between what the program had read last and what it waited for. */
	| "memory"
	/** They were read in the donor, at another time. */
	| "donor";

/** Clocks that all processes of one time namespace share, on one boot of one host. */
export interface ClockOrigin {
	/** /proc/sys/kernel/random/boot_id. */
	readonly boot: string;
	/** /proc/PID/timens_offsets: what is added to the clocks of the host, nanoseconds. */
	readonly offsets: Clocks;
}

/** The clocks that a process gets which is given none of its own. */
export interface HostClocks {
	readonly now: Clocks;
	readonly origin: ClockOrigin;
}

/** Whether both are one, so that who has the one's needs nothing to have the other's. */
export const sameOrigin = (one: ClockOrigin | undefined, other: ClockOrigin): boolean =>
	one !== undefined &&
	one.boot === other.boot &&
	one.offsets.monotonic === other.offsets.monotonic &&
	one.offsets.boottime === other.offsets.boottime;

/**
 * What the kernel takes for a clock at most (KTIME_SEC_MAX / 2, include/linux/ktime.h; timens_offsets is refused with ERANGE
 * beyond), nanoseconds: 146 years.
 */
export const LATEST_CLOCK = (((1n << 63n) - 1n) / 1_000_000_000n / 2n) * 1_000_000_000n;
