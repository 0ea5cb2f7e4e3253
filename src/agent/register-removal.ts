import { plus } from "../bytes/address.ts";
import { AT, SEEK } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { dirent64, LONGEST_DIRENT, majorOf, minorOf, STATX, statx } from "../linux/stat.ts";
import { pathOfLink } from "../proc/links.ts";
import type { Agent } from "./agent.ts";
import { type BatchArg, EVERY_BIT, type Label, label, SIGN, type Slot, type SyscallBatch } from "./batch.ts";

/** Identifies a directory whatever its name leads to later: from lstat(2). */
export interface DirectoryIdentity {
	readonly dev: bigint;
	readonly ino: bigint;
}

/**
 * Adds to an undo list that a directory and the files in it are removed, if it is not renamed before.
 *
 * @param around The directory that it is in, as the agent knows it: see {@link hold}.
 * @param directory absent before it is made: then it is removed only if it is empty.
 */
export function addRemoval(undo: SyscallBatch, around: bigint, entry: string, directory?: DirectoryIdentity): void {
	const name = undo.put(Buffer.from(`${entry}\0`), 1);
	const end = label("the end");
	if (directory !== undefined) {
		const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
		const fd = { valueOf: undo.call("openat", around, name, flags) };
		requireIdentity(undo, fd, directory, end);
		addToEach(undo, fd, (file) => undo.call("unlinkat", fd, file, 0));
	}
	undo.call("unlinkat", around, name, AT.REMOVEDIR);
	undo.mark(end);
}

/** Jumps to `end` when the name leads to another directory. */
function requireIdentity(undo: SyscallBatch, fd: BatchArg, { dev, ino }: DirectoryIdentity, end: Label): void {
	const look = undo.space(statx.size);
	const device = BigInt(majorOf(dev)) | (BigInt(minorOf(dev)) << 32n);
	undo.call("statx", fd, undo.put(Buffer.of(0), 1), AT.EMPTY_PATH, STATX.INO, look);
	for (const [field, wanted] of [["stx_ino", ino] as const, ["stx_dev_major", device] as const]) {
		const same = label(`the same ${field}`);
		undo.branch({ valueOf: within(look, statx.offsetOf(field)) }, EVERY_BIT, wanted, same);
		undo.jump(end);
		undo.mark(same);
	}
}

/**
 * Has the agent open a directory that we hold open, by our fd and not by its name.
 *
 * @param fd a descriptor of ours.
 * @returns its own; what the call said where that failed, and then nothing is undone.
 */
export const hold = (agent: Agent, fd: number): Promise<bigint> =>
	agent.call("open", Buffer.from(`${pathOfLink(process.pid, `fd/${fd}`)}\0`), O.PATH | O.DIRECTORY | O.CLOEXEC);

/**
 * Adds a loop that makes a call for each entry of a directory, which removes or moves it. Entries that stay, such as `.` and
 * `..`, are skipped.
 *
 * @param add the call, made of the entry's name; its result.
 */
export function addToEach(undo: SyscallBatch, fd: BatchArg, add: (name: Slot) => Slot): void {
	const [again, gone, empty] = [label("again"), label("gone"), label("empty")];
	// getdents64 may return several entries; the first is used
	const entry = undo.space(LONGEST_DIRENT);
	undo.mark(again);
	const count = { valueOf: undo.call("getdents64", fd, entry, entry.size) };
	undo.branch(count, EVERY_BIT, 0, empty);
	undo.branch(count, SIGN, SIGN, empty);
	const done = add(within(entry, dirent64.offsetOf("d_name")));
	undo.branch({ valueOf: done }, EVERY_BIT, 0, gone);
	undo.call("lseek", fd, { valueOf: within(entry, dirent64.offsetOf("d_off")) }, SEEK.SET);
	undo.jump(again);
	undo.mark(gone);
	// folklore: on tmpfs before Linux 6.6 a directory offset counts entries, so it is wrong after a removal: start again
	undo.call("lseek", fd, 0, SEEK.SET);
	undo.jump(again);
	undo.mark(empty);
}

const within = ({ at }: Slot, offset: number): Slot => ({ at: plus(at, BigInt(offset)), size: 8 });
