/** A lock on a file that a process holds (fcntl(2), flock(2)), or a lease of one. */
export interface FileLock {
	/** `posix`: the process's own; all others belong to the open file description, whoever has it. */
	readonly kind: LockKind;
	/** The descriptor by which it is held. */
	readonly descriptor: number;
	/** `none` only of a lease that is being broken: what it has to become. */
	readonly type: LockType;
	/** Bytes from the start of the file. */
	readonly start: bigint;
	/** Bytes; 0 to the end, wherever that will be. */
	readonly length: bigint;
	/** Of a lease: somebody else waits to open the file. */
	readonly breaking?: true;
	/** A donor's: nobody knows whether the process had it. */
	readonly lent?: true;
}

export type LockKind = "posix" | "flock" | "ofd" | "lease";

export type LockType = "read" | "write" | "none";

const NAMES: Readonly<Record<LockKind, string>> = { posix: "POSIX", flock: "flock", ofd: "OFD", lease: "" };

/** `a POSIX lock to write, of bytes 10 to 19`, `a lease to read`. */
export function lockText({ kind, type, start, length, breaking }: FileLock): string {
	if (kind === "lease")
		return breaking === true ? `a lease that is being broken, to ${LEFT[type]}` : `a lease to ${type}`;
	const whole = start === 0n && length === 0n;
	const where = length === 0n ? `from byte ${start} on` : `of bytes ${start} to ${start + length - 1n}`;
	return `${kind === "ofd" ? "an" : "a"} ${NAMES[kind]} lock to ${type}${whole ? "" : `, ${where}`}`;
}

const LEFT: Readonly<Record<LockType, string>> = { none: "nothing", read: "one to read", write: "one to write" };

/** Whether two of them say the same of one descriptor's file. */
export const isSameLock = (one: LockAlone, other: LockAlone): boolean =>
	one.kind === other.kind &&
	one.type === other.type &&
	one.start === other.start &&
	one.length === other.length &&
	(one.breaking ?? false) === (other.breaking ?? false);

type LockAlone = Pick<FileLock, "kind" | "type" | "start" | "length"> & { readonly breaking?: boolean };
