import type { BigIntStats } from "node:fs";

/** How a file looked: every write to it, and every change of its name or mode, changes that. */
export interface Stamp {
	/** Which file. */
	readonly dev: bigint;
	readonly ino: bigint;
	/** Bytes. */
	readonly size: bigint;
	/** Nanoseconds since the epoch. */
	readonly mtimeNs: bigint;
	readonly ctimeNs: bigint;
}

export const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): Stamp => ({
	...{ dev, ino, size, mtimeNs, ctimeNs },
});

export const isUnchanged = (first: Stamp, now: Stamp): boolean =>
	(["dev", "ino", "size", "mtimeNs", "ctimeNs"] as const).every((field) => first[field] === now[field]);
