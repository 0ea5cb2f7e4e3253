import type { Address } from "../bytes/address.ts";

/** Where handlers of a thread run that ask for it (sigaltstack(2)). */
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
