import { rmdirSync } from "node:fs";
import {
	type Directory,
	empty,
	entryIn,
	isSame,
	list,
	makeDirectory,
	move,
	openInner,
	removeFlat,
	syncDirectory,
} from "../../bytes/directory.ts";
import { openAround, openDirectory } from "../../bytes/open-directory.ts";
import { isOthersToFill, isOthersToMove, isOthersToWrite } from "../../bytes/owners.ts";
import { attempt } from "../../bytes/source.ts";
import { refuse } from "../../errors.ts";
import { isPlainName } from "../own-names.ts";
import type { WriteOptions } from "../pages/pages.ts";
import { fateOf, holderIn, ourselves, textOf } from "./holder.ts";
import { install } from "./install.ts";
import { lockOn, ownLock } from "./lock.ts";
import { checkNewImages, type Donor, type NewImages, type Written, writeNewImages } from "./new-images.ts";
import { isUnfinished, recoverLocked } from "./recover.ts";

/**
 * Writes the images of a draft into a new directory and leaves the donor, if there is one, alone. `out` must be absent or
 * empty. An absent one is built beside its place under a name that tells whose it is, `.OUT.necromancer.…`, and renamed at the
 * end; into an empty one of our own, which may be a mount point, the files move as they do in place. When it fails or is
 * aborted, nothing is left; what SIGKILL leaves was reported to `options.leaving`, and is removed by the next call for the same
 * `out`.
 *
 * @throws NecromancerError ERR_OUTPUT_EXISTS; ERR_OWNER for an empty directory that is another user's; ERR_CHANGED where
 *   somebody has moved what was written; ERR_IMAGE_LOCKED when another process writes into the same empty directory; what
 *   {@link writeNewImages} throws.
 */
export async function writeNewDirectory(
	draft: NewImages,
	donor: Donor | undefined,
	out: string,
	options: WriteOptions = {},
): Promise<Written> {
	checkNewImages(draft);
	if (!isThere(out)) return await build(draft, donor, out, options);
	const target = openTarget(out);
	try {
		if (!isUnfinished(target)) refuseFilled(target);
		requireOwn(target);
		return await fill(draft, donor, target, options);
	} finally {
		target.close();
	}
}

async function fill(
	draft: NewImages,
	donor: Donor | undefined,
	directory: Directory,
	options: WriteOptions,
): Promise<Written> {
	const left = { directory, lock: ownLock() };
	await options.leaving?.({ kind: "lock", ...left });
	const held = lockOn(directory);
	try {
		const finished = recoverLocked(directory) === "finished";
		refuseFilled(directory, finished ? " of an earlier patch, finished just now" : "");
		await options.leaving?.({ kind: "installation", ...left });
		return await install(draft, donor, directory, options);
	} finally {
		// if `leaving` fails, the agent is dead and cannot remove anything
		await options.leaving?.({ kind: "lock", ...left }).catch(() => undefined);
		held.release();
	}
}

/**
 * Refuses early, before long work, what {@link writeNewDirectory} would refuse.
 *
 * @throws NecromancerError ERR_OUTPUT_EXISTS, ERR_OWNER; ERR_IO where the directory around it is not there.
 */
export function requireFree(out: string): void {
	if (!isThere(out)) return;
	const target = openTarget(out);
	try {
		refuseFilled(target);
		requireOwn(target);
	} finally {
		target.close();
	}
}

function isThere(out: string): boolean {
	const { directory, entry } = openAround(out);
	try {
		return entryIn(directory, entry) !== undefined;
	} finally {
		directory.close();
	}
}

/** What is at `out`, which must be a directory. */
function openTarget(out: string): Directory {
	const { directory, entry } = openAround(out);
	try {
		const found = entryIn(directory, entry);
		if (found?.isDirectory() !== true && found?.isSymbolicLink() !== true) refuseOutput(out, "is no directory");
	} finally {
		directory.close();
	}
	return openDirectory(out);
}

async function build(draft: NewImages, donor: Donor | undefined, out: string, options: WriteOptions): Promise<Written> {
	const { directory: around, entry } = openAround(out);
	try {
		const prefix = `.${entry.slice(0, LONGEST)}.necromancer.`;
		removeAbandoned(around, prefix);
		const own = `${prefix}${textOf(ourselves())}`;
		await options.leaving?.({ kind: "directory", around, entry: own });
		const target = makeDirectory(around, own, out);
		try {
			await options.leaving?.({ kind: "directory", around, entry: own, made: target.stat() });
			const written = await writeNewImages(draft, donor, target, options);
			options.signal?.throwIfAborted();
			options.requireUnchanged?.();
			// rename(2) replaces nothing but an empty directory
			if (entryIn(around, entry) !== undefined) refuseOutput(out, "is there now");
			move(around, own, around, entry, out);
			if (options.sync) syncDirectory(around);
			requireAt(out, target);
			return written;
		} catch (cause) {
			empty(target);
			for (const name of [own, entry]) if (isEntry(around, name, target)) removeEmpty(around, name);
			throw cause;
		} finally {
			target.close();
		}
	} finally {
		around.close();
	}
}

const removeEmpty = (around: Directory, name: string): void =>
	attempt(around.nameOf(name), () => rmdirSync(around.at(name)));

/** Whether a name is that of a directory. */
function isEntry(around: Directory, name: string, directory: Directory): boolean {
	if (entryIn(around, name)?.isDirectory() !== true) return false;
	const there = openInner(around, name);
	try {
		return isSame(there.stat(), directory.stat());
	} finally {
		there.close();
	}
}

/** @throws NecromancerError ERR_CHANGED */
function requireAt(out: string, written: Directory): void {
	const { directory, entry } = openAround(out);
	try {
		if (isEntry(directory, entry, written)) return;
	} finally {
		directory.close();
	}
	refuse("ERR_CHANGED", {
		subject: out,
		finding: "is not the directory that was written",
		expectation: "expected nobody else to move it",
		remedy: "write where only you may",
	});
}

/** Characters of the name; the holder's takes up to 110 more, and a name has at most 255 bytes. */
const LONGEST = 32;

/** Removes what builders of the same directory left that are dead. In a place like /tmp only our own are trusted. */
function removeAbandoned(around: Directory, prefix: string): void {
	// a user who may rename there could have moved any directory of ours to such a name
	if (isOthersToMove(around.stat())) return;
	for (const name of list(around)) {
		const holder = name.startsWith(prefix) ? holderIn(name.slice(prefix.length)) : undefined;
		if (holder === undefined || fateOf(holder) !== "dead") continue;
		const entry = entryIn(around, name);
		if (entry?.isDirectory() && entry.uid === process.geteuid?.()) removeFlat(around, name);
	}
}

/** Refuses a directory that others may change. */
function requireOwn(target: Directory): void {
	const look = target.stat();
	if (!isOthersToFill(look)) return;
	refuse("ERR_OWNER", {
		subject: target.name,
		finding: isOthersToWrite(look) ? "is a directory that others may write" : `belongs to user ${look.uid}`,
		expectation: "expected one of our own, or none",
		remedy: "name one that is not there",
	});
}

function refuseFilled(target: Directory, whose = ""): void {
	const files = list(target).filter(isPlainName).length;
	if (files > 0) refuseOutput(target.name, `holds ${files} ${files === 1 ? "file" : "files"}${whose}`);
}

const refuseOutput = (out: string, finding: string): never =>
	refuse("ERR_OUTPUT_EXISTS", {
		subject: out,
		finding,
		expectation: "expected an empty directory, or none",
		remedy: "name another",
	});
