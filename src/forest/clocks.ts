import type { Clocks } from "../linux/time.ts";

/** The clocks of a process at its dump or death; a restore continues them from there. */
export interface ProcessClocks {
	/** CLOCK_MONOTONIC, nanoseconds. */
	readonly monotonic: bigint;
	/** CLOCK_BOOTTIME, nanoseconds; absent where only CLOCK_MONOTONIC is known: then it gets the same offset. */
	readonly boottime?: bigint;
	/** CLOCK_REALTIME at that moment, nanoseconds since 1970. It goes on by itself. */
	readonly realtime?: bigint;
	readonly witness: ClockWitness;
	/** The boot and time namespace that they belong to, where known: on the same ones the process needs no offsets. */
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
	/** Memory: between the last reading that the program had stored and the deadline that it waited for. */
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

/** The clocks of a process that gets no time namespace of its own. */
export interface HostClocks {
	readonly now: Clocks;
	readonly origin: ClockOrigin;
}

/** Whether both are the same clocks, so that no offsets are needed. */
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
