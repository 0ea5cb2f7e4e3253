import { type Address, address } from "../../bytes/address.ts";
import { layout, type Struct, u32, u64 } from "../../bytes/layout.ts";

/** `struct rseq` (include/uapi/linux/rseq.h): a thread's area for restartable sequences. 32 bytes, aligned to 32. */
export const rseqArea = layout("rseq", {
	cpu_id_start: u32,
	/** The current CPU, or one of the two values below. */
	cpu_id: u32,
	/** Address of the active `struct rseq_cs`, 0 when in none. */
	rseq_cs: u64,
	flags: u32,
	/** Kernels >= 6.3; zero before. */
	node_id: u32,
	/** Kernels >= 6.3; zero before. */
	mm_cid: u32,
});

export type RseqArea = Struct<typeof rseqArea>;

/** `cpu_id` of an area that was never registered, or no longer is. */
export const RSEQ_CPU_ID_UNINITIALIZED = 0xffff_ffff;

/** `cpu_id` after a refused registration. glibc then asks getcpu(2), so it is what to write where none is wanted. */
export const RSEQ_CPU_ID_REGISTRATION_FAILED = 0xffff_fffe;

/** Whether the area says that the kernel keeps it up to date. */
export const isRseqRegistered = ({ cpu_id }: Pick<RseqArea, "cpu_id">): boolean =>
	cpu_id !== RSEQ_CPU_ID_UNINITIALIZED && cpu_id !== RSEQ_CPU_ID_REGISTRATION_FAILED;

/** `struct rseq_cs`: one critical section, constant data of the program. 32 bytes. */
export const rseqCs = layout("rseq_cs", {
	version: u32,
	flags: u32,
	start_ip: u64,
	post_commit_offset: u64,
	abort_ip: u64,
});

export type RseqCs = Struct<typeof rseqCs>;

/**
 * Flags of `struct rseq_cs` and `struct rseq`. Kernels >= 6.0 kill a process that sets one; before, NO_RESTART_ON_SIGNAL
 * let a section go on after a signal.
 */
export const RSEQ_CS_FLAG = {
	NO_RESTART_ON_PREEMPT: 1,
	NO_RESTART_ON_SIGNAL: 2,
	NO_RESTART_ON_MIGRATE: 4,
} as const;

/** The word before every abort address on x86, which glibc registers: `ud1 0x53053053(%rip), %edi` ends in it. */
export const RSEQ_SIGNATURE = 0x5305_3053;

/** The length glibc <= 2.40 registers, in bytes. Its `__rseq_size` of 20 or 28 is how much of it is used: rseq(2) refuses that. */
export const RSEQ_REGISTERED_SIZE = 32;

/**
 * Where a thread resumes that died at `ip` while its area pointed at `cs`: at the abort handler if it was inside the section,
 * because what it read there (its CPU above all) no longer holds. `undefined` when it simply goes on: it was elsewhere,
 * or the section is to survive signals (the area must then keep its `rseq_cs` pointer).
 *
 * A section of another version or with its abort handler inside itself is none: the kernel would kill for it.
 *
 * @param areaFlags `flags` of the thread's `struct rseq`.
 */
export function abortedIp(ip: Address, cs: RseqCs, areaFlags = 0): Address | undefined {
	if (cs.version !== 0 || ((cs.flags | areaFlags) & RSEQ_CS_FLAG.NO_RESTART_ON_SIGNAL) !== 0) return undefined;
	return isInside(cs, ip) && !isInside(cs, cs.abort_ip) ? address(cs.abort_ip) : undefined;
}

/** The kernel's own comparison (kernel/rseq.c, in_rseq_cs): one subtraction modulo 2^64. */
const isInside = (cs: RseqCs, at: bigint): boolean => BigInt.asUintN(64, at - cs.start_ip) < cs.post_commit_offset;
