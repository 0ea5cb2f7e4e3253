import { join } from "node:path";
import { entryAt, list, move, remove, removeFlat, syncDirectory } from "../bytes/directory.ts";
import { refuse } from "../errors.ts";
import { INVENTORY, PARENT } from "./draft.ts";
import { type Journal, type Move, readJournal } from "./journal.ts";
import { lock } from "./lock.ts";
import { LOCK, SPENT, STAGING } from "./own-names.ts";
import { hasJournal } from "./unfinished.ts";

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
 * belong to a patch that still runs, ERR_IO.
 */
export function recover(directory: string): Recovery {
	if (!isUnfinished(directory)) return "clean";
	const held = lock(directory);
	try {
		return recoverLocked(directory);
	} finally {
		held.release();
	}
}

/** Whether there are leftovers of a patch, a lock at least, or a patch that still runs. */
export const isUnfinished = (directory: string): boolean =>
	list(directory).some((name) => name === STAGING || name === SPENT || name.startsWith(LOCK));

/** {@link recover} for one who holds the lock. */
export function recoverLocked(directory: string): Recovery {
	const spent = throwAway(directory, SPENT);
	const staging = join(directory, STAGING);
	if (entryAt(staging) === undefined) return spent ? "finished" : "clean";
	ours(directory, staging);
	if (!hasJournal(staging)) {
		throwAway(directory, STAGING);
		return "undone";
	}
	finish(directory, readJournal(directory));
	return "finished";
}

/**
 * Does what a journal says, or what is left of it. The inventory goes first and comes back last, and CRIU restores
 * nothing without one: nobody can mistake the mixture for a process.
 *
 * @throws NecromancerError ERR_IMAGE_UNFINISHED when a new file is neither in its place nor waiting; ERR_IO.
 */
export function finish(directory: string, { moves, removals, sync }: Journal): void {
	const staging = join(directory, STAGING);
	const settle = (): void => {
		if (sync) syncDirectory(directory);
	};
	const waiting = moves.filter((wanted) => isWaiting(directory, wanted));
	const inventory = waiting.filter(({ name }) => name === INVENTORY);
	if (inventory.length > 0) {
		remove(join(directory, INVENTORY));
		settle();
	}
	for (const { name } of waiting) {
		if (name === INVENTORY) continue;
		// ext4 writes a file to the disk at once that is renamed over another (auto_da_alloc): a second for a few GiB
		remove(join(directory, name));
		move(join(staging, NEW, name), join(directory, name));
	}
	for (const name of removals) remove(join(directory, name));
	settle();
	for (const { name } of inventory) move(join(staging, NEW, name), join(directory, name));
	settle();
	move(staging, join(directory, SPENT));
	throwAway(directory, SPENT);
	settle();
}

/** Whether a file still waits to be moved. */
function isWaiting(directory: string, { name, size }: Move): boolean {
	const fits = (path: string): boolean => {
		const entry = entryAt(path);
		const right = entry?.isFile() || (name === PARENT && entry?.isSymbolicLink());
		return right === true && entry?.size === size;
	};
	if (fits(join(directory, STAGING, NEW, name))) return true;
	if (entryAt(join(directory, STAGING, NEW, name)) === undefined && fits(join(directory, name))) return false;
	return refuse("ERR_IMAGE_UNFINISHED", {
		subject: directory,
		finding: `${name} of an earlier patch is lost or damaged`,
		expectation: `expected a file of ${size} bytes`,
		remedy: "dump the donor again",
	});
}

/** Removes a staging directory. */
function throwAway(directory: string, name: string): boolean {
	const path = join(directory, name);
	if (entryAt(path) === undefined) return false;
	ours(directory, path);
	removeFlat(path, [NEW]);
	return true;
}

/** @throws NecromancerError ERR_IMAGE_UNFINISHED for what we cannot have made. */
function ours(directory: string, path: string): void {
	const inner = join(path, NEW);
	const odd = [path, inner].find((each) => entryAt(each)?.isDirectory() === false);
	if (odd === undefined) return;
	refuse("ERR_IMAGE_UNFINISHED", {
		subject: directory,
		finding: `${odd} is no directory`,
		expectation: "expected what an earlier patch left",
		remedy: "remove it",
	});
}
