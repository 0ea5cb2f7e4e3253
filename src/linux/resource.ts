import { layout, u64 } from "../bytes/layout.ts";

/** Resources of prlimit64(2) (include/uapi/asm-generic/resource.h), in order of their numbers. */
export const limitNames = [
	...(["CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE"] as const),
	...(["MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"] as const),
] as const;

export type LimitName = (typeof limitNames)[number];

export const limitNumber = (name: LimitName): number => limitNames.indexOf(name);

/** `CORE`, or `limit 17` for one that a later kernel has. */
export const limitName = (number: number): string => limitNames[number] ?? `limit ${number}`;

/** `struct rlimit64` (include/uapi/linux/resource.h): 16 bytes; all ones is no limit. */
export const rlimit64 = layout("rlimit64", { rlim_cur: u64, rlim_max: u64 });

/** RLIM64_INFINITY. */
export const NO_LIMIT = (1n << 64n) - 1n;

/** First argument of setpriority(2): one thread, 0 for the caller. */
export const PRIO_PROCESS = 0n;
