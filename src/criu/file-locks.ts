import type { FileLockEntry } from "./wire/generated/schema.ts";

/** `file_lock_entry.flag` (criu/include/file-lock.h, 4.2). */
const FLAGS = { posix: 1, flock: 2, ofd: 4, lease: 8 } as const;

/** `file_lock_entry.type`: F_RDLCK, F_WRLCK and F_UNLCK; of a lease, beside them: it is being broken. */
const TYPES = { read: 0, write: 1, none: 2 } as const;
const LEASE_BREAKING = 4;

/** A record of filelocks.img in words. */
export interface LockRecord {
	readonly kind: keyof typeof FLAGS;
	readonly type: keyof typeof TYPES;
	readonly breaking: boolean;
}

/** `undefined` for what CRIU does not write. */
export function lockFrom({ flag, type }: Pick<FileLockEntry, "flag" | "type">): LockRecord | undefined {
	const kind = nameOf(FLAGS, flag);
	const breaking = kind === "lease" && (type & LEASE_BREAKING) !== 0;
	const known = nameOf(TYPES, breaking ? type & ~LEASE_BREAKING : type);
	// nobody holds a lock to do nothing, but a lease may have to become that
	return kind === undefined || known === undefined || (known === "none" && !breaking)
		? undefined
		: { kind, type: known, breaking };
}

export const lockTo = ({ kind, type, breaking }: LockRecord): Pick<FileLockEntry, "flag" | "type"> => ({
	flag: FLAGS[kind],
	type: TYPES[type] | (breaking ? LEASE_BREAKING : 0),
});

const nameOf = <K extends string>(numbers: Readonly<Record<K, number>>, number: number): K | undefined =>
	(Object.keys(numbers) as K[]).find((name) => numbers[name] === number);
