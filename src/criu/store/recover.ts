import {
	type Directory,
	entryIn,
	list,
	move,
	openInner,
	remove,
	removeFlat,
	syncDirectory,
} from "../../bytes/directory.ts";
import { openDirectory } from "../../bytes/open-directory.ts";
import { refuse } from "../../errors.ts";
import { LOCK, SPENT, STAGING } from "../own-names.ts";
import { claim } from "./claim.ts";
import { type Journal, type Move, readJournal } from "./journal.ts";
import { lock } from "./lock.ts";
import { INVENTORY, PARENT } from "./new-images.ts";
import { isDecided } from "./unfinished.ts";

/** In a staging directory, where the new files are. */
export const NEW = "new";

/** `clean`: nothing was there to do; `undone`: the old directory is whole; `finished`: the new one is. */
export type Recovery = "clean" | "undone" | "finished";

/**
 * Makes a directory whole whose patch was cut short: undoes what had not yet been written completely, finishes what had.
 * May itself be cut short at any moment, and called again. Call it before the directory is opened to be patched; better,
 * use {@link whilePatching}.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED when the leftovers are damaged or not ours, ERR_IMAGE_LOCKED when they
 * belong to a patch that still runs, ERR_OWNER in a directory that we cannot make ours, ERR_IO.
 */
export function recover(path: string): Recovery {
	const directory = openDirectory(path);
	try {
		if (!isUnfinished(directory)) return "clean";
	} finally {
		directory.close();
	}
	const held = lock(path);
	try {
		const claimed = claim(held.directory);
		try {
			return recoverLocked(held.directory);
		} finally {
			claimed.release();
		}
	} finally {
		held.release();
	}
}

/** Whether there are leftovers of a patch, a lock at least, or a patch that still runs. */
export const isUnfinished = (directory: Directory): boolean =>
	list(directory).some((name) => name === STAGING || name === SPENT || name.startsWith(LOCK));

/** {@link recover} for one who holds the lock, and has claimed the directory. */
export function recoverLocked(directory: Directory): Recovery {
	const spent = throwAway(directory, SPENT);
	if (entryIn(directory, STAGING) === undefined) return spent ? "finished" : "clean";
	requireDirectories(directory, STAGING);
	if (!isDecided(directory)) {
		throwAway(directory, STAGING);
		return "undone";
	}
	const staging = openInner(directory, STAGING);
	try {
		finish(directory, staging, readJournal(staging));
	} finally {
		staging.close();
	}
	return "finished";
}

/**
 * Carries out a journal, or what is left of it. The inventory is removed first and comes last, and CRIU restores nothing
 * without one: a half-patched directory cannot be restored.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED when a new file is neither in its place nor waiting; ERR_IO.
 */
export function finish(directory: Directory, staging: Directory, { moves, removals, sync }: Journal): void {
	const settle = (): void => {
		if (sync) syncDirectory(directory);
	};
	const fresh = openInner(staging, NEW);
	try {
		const waiting = moves.filter((wanted) => isWaiting(directory, fresh, wanted));
		const inventory = waiting.filter(({ name }) => name === INVENTORY);
		if (inventory.length > 0) {
			remove(directory, INVENTORY);
			settle();
		}
		for (const { name } of waiting) {
			if (name === INVENTORY) continue;
			// ext4 writes a file to the disk at once that is renamed over another (auto_da_alloc): a second for a few GiB
			remove(directory, name);
			move(fresh, name, directory);
		}
		for (const name of removals) remove(directory, name);
		settle();
		for (const { name } of inventory) move(fresh, name, directory);
		settle();
	} finally {
		fresh.close();
	}
	move(directory, STAGING, directory, SPENT);
	throwAway(directory, SPENT);
	settle();
}

/** Whether a file still waits to be moved. */
function isWaiting(directory: Directory, fresh: Directory, { name, size }: Move): boolean {
	const fits = (dir: Directory): boolean => {
		const entry = entryIn(dir, name);
		const right = entry?.isFile() || (name === PARENT && entry?.isSymbolicLink());
		return right === true && entry?.size === size;
	};
	if (fits(fresh)) return true;
	if (entryIn(fresh, name) === undefined && fits(directory)) return false;
	return refuse("ERR_IMAGE_UNFINISHED", {
		subject: directory.name,
		finding: `${name} of an earlier patch is lost or damaged`,
		expectation: `expected a file of ${size} bytes`,
		remedy: "dump the donor again",
	});
}

/** Removes a staging directory. */
function throwAway(directory: Directory, name: string): boolean {
	if (entryIn(directory, name) === undefined) return false;
	requireDirectories(directory, name);
	removeFlat(directory, name, [NEW]);
	return true;
}

/** @throws NecromancerError ERR_IMAGE_UNFINISHED for what we cannot have made. */
function requireDirectories(directory: Directory, name: string): void {
	const isOdd = (dir: Directory, entry: string): boolean => entryIn(dir, entry)?.isDirectory() === false;
	const no = (odd: string): never =>
		refuse("ERR_IMAGE_UNFINISHED", {
			subject: directory.name,
			finding: `${odd} is no directory`,
			expectation: "expected what an earlier patch left",
			remedy: "remove it",
		});
	if (isOdd(directory, name)) no(directory.nameOf(name));
	const staging = openInner(directory, name);
	try {
		if (isOdd(staging, NEW)) no(staging.nameOf(NEW));
	} finally {
		staging.close();
	}
}
