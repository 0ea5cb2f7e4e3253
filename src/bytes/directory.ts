import {
	type BigIntStats,
	closeSync,
	constants,
	fchmodSync,
	fstatSync,
	fsyncSync,
	lstatSync,
	mkdirSync,
	openSync,
	readdirSync,
	renameSync,
	rmdirSync,
	type Stats,
	unlinkSync,
} from "node:fs";
import { join } from "node:path";
import { refuse } from "../errors.ts";
import { pathOfDescriptor } from "./own-descriptor.ts";
import { isOthersToMove } from "./owners.ts";
import { attemptWrite } from "./sink.ts";
import { attempt, closeOnce } from "./source.ts";

/*
 * What is done in directories, each held open: whoever renames one, or puts a link in its place, changes nothing of where
 * we work. Entries are single names; a link is never followed. Every failure is ERR_IO about the entry's name.
 */

/** A directory that is held open. */
export interface Directory {
	/** What messages call it. */
	readonly name: string;
	readonly fd: number;
	/** A path to one of its entries, for whatever takes paths; of use as long as it is open, and in this process only. */
	at(entry: string): string;
	/** What messages call an entry. */
	nameOf(entry: string): string;
	/** As it was when it was opened: it may have become ours since. */
	readonly opened: BigIntStats;
	/** As it is now. */
	stat(): BigIntStats;
	close(): void;
}

/** A descriptor of a directory, to be closed with what is returned. */
export const directoryOn = (fd: number, name: string): Directory => ({
	name,
	fd,
	at: (entry) => `${pathOfDescriptor(fd)}/${entry}`,
	nameOf: (entry) => join(name, entry),
	opened: attempt(name, () => fstatSync(fd, { bigint: true })),
	stat: () => attempt(name, () => fstatSync(fd, { bigint: true })),
	close: closeOnce(fd),
});

/** Whether two of them are one. */
export function isSame(a: Pick<BigIntStats, "dev" | "ino">, b: Pick<BigIntStats, "dev" | "ino">): boolean {
	return a.dev === b.dev && a.ino === b.ino;
}

/** What is under a name; `undefined` when nothing is. */
export function entryIn(dir: Directory, entry: string): Stats | undefined {
	return attempt(dir.nameOf(entry), () => lstatSync(dir.at(entry), { throwIfNoEntry: false }));
}

/** A directory in another. */
export function openInner(dir: Directory, entry: string, name: string = dir.nameOf(entry)): Directory {
	const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
	return directoryOn(
		attempt(name, () => openSync(dir.at(entry), O_RDONLY | O_DIRECTORY | O_NOFOLLOW)),
		name,
	);
}

/**
 * Creates a directory of mode 0700, under a name that must be free.
 *
 * @throws NecromancerError ERR_CHANGED where whoever owns the directory around it has put another in its place already.
 */
export function makeDirectory(dir: Directory, entry: string, name: string = dir.nameOf(entry)): Directory {
	attemptWrite(name, () => mkdirSync(dir.at(entry), { mode: OWNER_ONLY_DIRECTORY }));
	const made = openInner(dir, entry, name);
	if (isOthersToMove(dir.stat())) {
		const { uid, mode } = made.stat();
		if (Number(uid) !== process.geteuid?.() || (mode & 0o77n) !== 0n || list(made).length > 0) {
			made.close();
			refuse("ERR_CHANGED", {
				subject: name,
				finding: "is not the directory that was made there",
				remedy: "see who else changes the directory around it, and run it again",
			});
		}
	}
	return made;
}

export const list = (dir: Directory): string[] => attempt(dir.name, () => readdirSync(dir.at(".")));

/** Removes a file or a link, if it is there. */
export function remove(dir: Directory, entry: string): void {
	attempt(dir.nameOf(entry), () => {
		try {
			unlinkSync(dir.at(entry));
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
		}
	});
}

export const OWNER_ONLY_FILE = 0o600;
export const OWNER_ONLY_DIRECTORY = 0o700;

/** Takes a file from everybody but its owner; also what was a link, or the name of another, when it was looked at last. */
export const makePrivate = (dir: Directory, entry: string): void =>
	withEntry(dir, entry, (fd) => fchmodSync(fd, OWNER_ONLY_FILE));

/** rename(2): replaces a file under the new name, and is either done or not, whenever the process is killed. */
export const move = (
	from: Directory,
	entry: string,
	to: Directory,
	newEntry: string = entry,
	name: string = to.nameOf(newEntry),
): void => attemptWrite(name, () => renameSync(from.at(entry), to.at(newEntry)));

/** Removes a directory that holds files, and the directories `inner` of such, but nothing deeper. */
export function removeFlat(dir: Directory, entry: string, inner: readonly string[] = []): void {
	const doomed = openInner(dir, entry);
	try {
		empty(doomed, inner);
	} finally {
		doomed.close();
	}
	attempt(dir.nameOf(entry), () => rmdirSync(dir.at(entry)));
}

/** Removes the files of a directory, and the directories `inner` of such. */
export function empty(dir: Directory, inner: readonly string[] = []): void {
	for (const entry of list(dir)) {
		if (inner.includes(entry) && entryIn(dir, entry)?.isDirectory()) removeFlat(dir, entry);
		else remove(dir, entry);
	}
}

/** Waits until the names in a directory are on the disk. */
export const syncDirectory = (dir: Directory): void => attempt(dir.name, () => fsyncSync(dir.fd));

/** Waits until the content of a file is on the disk. */
export const syncFile = (dir: Directory, entry: string): void => withEntry(dir, entry, fsyncSync);

function withEntry(dir: Directory, entry: string, use: (fd: number) => void): void {
	const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY } = constants;
	attempt(dir.nameOf(entry), () => {
		const fd = openSync(dir.at(entry), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
		try {
			use(fd);
		} finally {
			closeSync(fd);
		}
	});
}
