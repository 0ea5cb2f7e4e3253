import { entryIn, isSame, makePrivate } from "../../bytes/directory.ts";
import { openDirectory } from "../../bytes/open-directory.ts";
import { NecromancerError, refuse } from "../../errors.ts";
import type { ImageDir } from "../image-dir.ts";
import { mayStay } from "../kept-file.ts";
import { isImageName } from "../own-names.ts";
import type { WriteOptions } from "../pages/pages.ts";
import { claim } from "./claim.ts";
import { install } from "./install.ts";
import { type Lock, lock } from "./lock.ts";
import { checkNewImages, INVENTORY, type NewImages, namesIn, type Written } from "./new-images.ts";
import { type Recovery, recoverLocked } from "./recover.ts";

export { writeNewDirectory } from "./new-directory.ts";
export { recover } from "./recover.ts";
export { refuseUnfinished } from "./unfinished.ts";

export interface CommitOptions extends WriteOptions {
	/** The caller's; without it, one is held during the call. */
	readonly lock?: Hold;
}

/** A directory that is ours to patch. */
export interface Hold extends Pick<Lock, "directory"> {
	/** It is patched: what is in it is ours now. */
	keep(): void;
}

/**
 * Holds a directory while it is read and patched, and makes it whole before: its lock, and the directory itself, which
 * nobody else can change meanwhile. This is the way to patch in place: what `story` reads, from `held.directory`, is what
 * `commitInPlace` replaces. A directory that is not patched after all is given back as it was.
 *
 * @throws NecromancerError what {@link lock}, {@link claim} and {@link recover} throw.
 */
export async function whilePatching<T>(
	path: string,
	story: (held: Hold, recovery: Recovery) => Promise<T>,
): Promise<T> {
	const held = lock(path);
	try {
		const claimed = claim(held.directory);
		try {
			return await story({ directory: held.directory, keep: claimed.keep }, recoverLocked(held.directory));
		} finally {
			claimed.release();
		}
	} finally {
		held.release();
	}
}

/**
 * Replaces the images of `donor` by those of the draft. Images of the donor (its `names`) that the draft does not hold are
 * removed; other files stay. An image that is kept under its name is not touched where it is ours alone; else it is
 * copied. When it fails or is aborted, the directory is as before; when it is patched, it is ours, mode 0700.
 *
 * @throws NecromancerError ERR_IMAGE_LOCKED; ERR_IMAGE_UNFINISHED when an earlier patch had to be finished after the
 * donor was read; ERR_CHANGED when another directory is at its place; what {@link writeNewImages} throws.
 */
export async function commitInPlace(draft: NewImages, donor: ImageDir, options: CommitOptions = {}): Promise<Written> {
	checkNewImages(draft);
	if (options.lock === undefined)
		return await whilePatching(donor.path, (held, recovery) => {
			if (recovery === "finished") refuseLate(donor);
			return commitInPlace(draft, donor, { ...options, lock: held });
		});
	const { directory, keep } = options.lock;
	requireThere(donor, directory, "another directory is there than the one that was read");
	// The inventory is always new, if only by name: it must come last.
	const untouched = [...draft.copies].filter(
		([name, from]) => name === from && name !== INVENTORY && mayStay(directory, name),
	);
	const stay = new Set(untouched.map(([name]) => name));
	const copies = new Map([...draft.copies].filter(([name]) => !stay.has(name)));
	const wanted = new Set(namesIn(draft));
	const removals = donor.names.filter((name) => !wanted.has(name) && isImageName(name));
	const written = await install({ ...draft, copies }, donor, directory, options, { removals });
	keep();
	// what stayed is as private now as what is new: together they are a process's memory
	for (const [name] of untouched) if (entryIn(directory, name) !== undefined) makePrivate(directory, name);
	requireThere(donor, directory, "was patched, and has been replaced by another directory meanwhile");
	return written;
}

const refuseLate = (donor: ImageDir): never =>
	refuse("ERR_IMAGE_UNFINISHED", {
		subject: donor.path,
		finding: "an earlier patch was finished after the donor had been read",
		remedy: "run it again",
	});

/** @throws NecromancerError ERR_CHANGED */
function requireThere(donor: ImageDir, directory: Hold["directory"], finding: string): void {
	const same = isSame(donor.directory.stat(), directory.stat());
	if (same && leadsTo(donor.path, directory)) return;
	refuse("ERR_CHANGED", {
		subject: donor.path,
		finding,
		expectation: "expected nobody else to move it",
		remedy: "look at who may change the directory around it",
	});
}

function leadsTo(path: string, directory: Hold["directory"]): boolean {
	try {
		const there = openDirectory(path);
		try {
			return isSame(there.stat(), directory.stat());
		} finally {
			there.close();
		}
	} catch (error) {
		if (error instanceof NecromancerError) return false;
		throw error;
	}
}
