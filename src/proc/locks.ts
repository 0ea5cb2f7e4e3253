import { attempt } from "../bytes/source.ts";
import { kernelDevice } from "../linux/stat.ts";
import { globalText } from "./read.ts";

/** A lock, as a line of /proc/locks or of /proc/PID/fdinfo tells of it (proc_locks(5); fs/locks.c, `lock_get_status`). */
export interface LockLine {
	/** Absent where the kernel knows a kind that we do not. */
	readonly kind?: "posix" | "flock" | "ofd" | "lease";
	readonly type: "read" | "write" | "none";
	/** Of a lease: somebody waits for its end. Its type is what it has to become. */
	readonly breaking: boolean;
	/** Who took it; -1 for OFD locks, 0 for who is not seen from here. */
	readonly pid: number;
	/** Of its file: {@link kernelDevice}. */
	readonly device: number;
	readonly inode: bigint;
	/** Bytes. */
	readonly start: bigint;
	/** 0 to the end of the file, wherever that will be. */
	readonly length: bigint;
	readonly text: string;
}

const KINDS: Readonly<Record<string, NonNullable<LockLine["kind"]>>> = {
	POSIX: "posix",
	FLOCK: "flock",
	OFDLCK: "ofd",
	LEASE: "lease",
};

const TYPES: Readonly<Record<string, LockLine["type"]>> = { READ: "read", WRITE: "write", UNLCK: "none" };

/** `1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF` */
const LINE =
	/^\d+: (\w+)\s+(\S+)\s+(READ|WRITE|UNLCK|RW|NONE)\s+(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) (\d+) (\d+|EOF)$/;

/** What it does not understand has no kind. */
export function parseLock(text: string): LockLine {
	const [, kind = "", state, type = "", pid, major = "0", minor = "0", inode = 0, start = "0", last = "EOF"] =
		LINE.exec(text.trim()) ?? [];
	const known = TYPES[type] === undefined ? undefined : KINDS[kind];
	return {
		...(known === undefined ? {} : { kind: known }),
		...{ type: TYPES[type] ?? "none", breaking: state === "BREAKING", pid: Number(pid ?? 0) },
		...{ device: kernelDevice(Number.parseInt(major, 16), Number.parseInt(minor, 16)), inode: BigInt(inode) },
		...{ start: BigInt(start), length: last === "EOF" ? 0n : BigInt(last) - BigInt(start) + 1n, text },
	};
}

/** All locks that somebody holds, without those who wait for one. @throws NecromancerError ERR_IO */
export const readLocks = (): readonly LockLine[] =>
	attempt("/proc/locks", () => globalText("locks"))
		.split("\n")
		.filter((line) => line !== "" && !/^\d+: ->/.test(line))
		.map(parseLock);
