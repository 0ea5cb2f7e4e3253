import type { UserRegs } from "../arch/x86-64/registers.ts";
import type { Xstate } from "../arch/x86-64/xstate.ts";
import type { Address } from "../bytes/address.ts";
import type { Attributes, ThreadAttribute } from "./attributes.ts";

export interface Thread {
	readonly tid: number;
	/** At most 15 bytes. */
	readonly name: string;
	/** As the thread is to resume: a system call it died in is already wound back. */
	readonly registers: UserRegs;
	readonly xstate: Xstate;
	/** Blocked signals, bit n-1 for signal n. */
	readonly blocked: bigint;
	/** Signals pending for this thread: 128-byte siginfo each. */
	readonly pending: readonly Uint8Array[];
	readonly alternateStack?: AlternateStack;
	/** Where the kernel writes 0 and wakes a futex when the thread ends (set_tid_address(2)). */
	readonly clearTid?: Address;
	/** Head of the robust futex list (set_robust_list(2)). */
	readonly robustList?: Address;
	readonly rseq?: Rseq;
	/** 32-bit words where its thread library keeps `tid`, to be rewritten should it get another one. */
	readonly tidWords?: readonly Address[];
	readonly scheduling: Scheduling;
	/** Signal sent to it when its parent dies, 0 for none. */
	readonly parentDeathSignal: number;
	readonly credentials: Credentials;
	readonly seccomp: "none" | "strict" | "filter";
	/**
	 * Set for a leader that had called pthread_exit(3) while others lived: a zombie, of which no more than its id, its name, its
	 * scheduling and its credentials mean anything.
	 */
	readonly ended?: true;
	/** Where they are not those of a new process. */
	readonly attributes?: Attributes<ThreadAttribute>;
}

export interface Scheduling {
	/** -20 … 19. */
	readonly nice: number;
	/** SCHED_ number. */
	readonly policy: number;
	/** 0, or 1 … 99 for the real-time policies. */
	readonly priority: number;
}

export interface Credentials {
	readonly uid: number;
	readonly gid: number;
	readonly euid: number;
	readonly egid: number;
	readonly suid: number;
	readonly sgid: number;
	readonly fsuid: number;
	readonly fsgid: number;
	readonly groups: readonly number[];
	/** Capability sets, bit n for capability n. */
	readonly inheritable: bigint;
	readonly permitted: bigint;
	readonly effective: bigint;
	readonly bounding: bigint;
	readonly ambient: bigint;
	readonly securebits: number;
	readonly noNewPrivileges: boolean;
}

/** The stack of handlers with SA_ONSTACK (sigaltstack(2)). */
export interface AlternateStack {
	readonly base: Address;
	/** Bytes. */
	readonly size: bigint;
	/** SS_ flags. */
	readonly flags: number;
}

/** A registered `struct rseq` (rseq(2)). */
export interface Rseq {
	readonly area: Address;
	/** Registered length in bytes: 32 for glibc <= 2.40 whatever the feature size. */
	readonly size: number;
	readonly signature: number;
}
