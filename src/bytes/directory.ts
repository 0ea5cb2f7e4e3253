import {
	chmodSync,
	closeSync,
	constants,
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
import { attemptWrite } from "./sink.ts";
import { attempt } from "./source.ts";

/*
 * What is done to directories. Every failure is ERR_IO about `name`, which is the path unless given.
 */

/** What is at a path, symbolic links not followed; `undefined` when nothing is. */
export function entryAt(path: string, name: string = path): Stats | undefined {
	return attempt(name, () => lstatSync(path, { throwIfNoEntry: false }));
}

/** Creates a directory of mode 0700. The name must be free. */
export const makeDirectory = (path: string, name: string = path): void =>
	attemptWrite(name, () => mkdirSync(path, { mode: 0o700 }));

export const list = (path: string, name: string = path): string[] => attempt(name, () => readdirSync(path));

/** Removes a file or a link, if it is there. */
export function remove(path: string, name: string = path): void {
	attempt(name, () => {
		try {
			unlinkSync(path);
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
		}
	});
}

export const OWNER_ONLY_FILE = 0o600;
export const OWNER_ONLY_DIRECTORY = 0o700;

/** Takes a file or directory from everybody but its owner. */
export const makePrivate = (path: string, mode: number, name: string = path): void =>
	attempt(name, () => chmodSync(path, mode));

/** rename(2): replaces a file at `to`, and is either done or not, whenever the process is killed. */
export const move = (from: string, to: string, name: string = to): void =>
	attemptWrite(name, () => renameSync(from, to));

/**
 * Removes a directory that holds files, and the directories `inner` of such, but nothing deeper. It never follows a
 * link: it works below an open directory, so that swapping the path for a link on the way leads nowhere.
 */
export function removeFlat(path: string, inner: readonly string[] = [], name: string = path): void {
	withDirectory(path, name, (fd) => {
		const anchor = `/proc/self/fd/${fd}`;
		for (const entry of list(anchor, name)) {
			if (inner.includes(entry) && entryAt(join(anchor, entry), name)?.isDirectory()) {
				removeFlat(join(anchor, entry), [], join(name, entry));
			} else remove(join(anchor, entry), join(name, entry));
		}
	});
	attempt(name, () => rmdirSync(path));
}

/** Waits until the names in a directory are on the disk. */
export const syncDirectory = (path: string, name: string = path): void =>
	withDirectory(path, name, (fd) => attempt(name, () => fsyncSync(fd)));

/** Waits until the content of a file is on the disk. */
export const syncFile = (path: string, name: string = path): void =>
	withOpen(path, name, 0, (fd) => attempt(name, () => fsyncSync(fd)));

const withDirectory = (path: string, name: string, use: (fd: number) => void): void =>
	withOpen(path, name, constants.O_DIRECTORY, use);

function withOpen(path: string, name: string, flags: number, use: (fd: number) => void): void {
	const { O_RDONLY, O_NOFOLLOW } = constants;
	const fd = attempt(name, () => openSync(path, O_RDONLY | O_NOFOLLOW | flags));
	try {
		use(fd);
	} finally {
		closeSync(fd);
	}
}
