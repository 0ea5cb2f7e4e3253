import { join } from "node:path";
import { makePrivate, OWNER_ONLY_DIRECTORY, OWNER_ONLY_FILE } from "../bytes/directory.ts";
import { refuse } from "../errors.ts";
import { checkDraft, type ImageDraft, INVENTORY, namesIn, type Written } from "./draft.ts";
import type { ImageDir } from "./image-dir.ts";
import { install } from "./install.ts";
import { type Lock, lock } from "./lock.ts";
import { isPlainName } from "./own-names.ts";
import type { WriteOptions } from "./pages.ts";
import { type Recovery, recoverLocked } from "./recover.ts";

export { writeElsewhere } from "./elsewhere.ts";
export { recover } from "./recover.ts";
export { refuseUnfinished } from "./unfinished.ts";

export interface CommitOptions extends WriteOptions {
	/** The caller's; without it, one is held during the call. */
	readonly lock?: Lock;
}

/**
 * Holds the lock of a directory while it is read and patched, and makes it whole before. This is the way to patch in
 * place: what `story` reads is what `commitInPlace` replaces.
 *
 * @throws NecromancerError what {@link lock} and {@link recover} throw.
 */
export async function whilePatching<T>(
	directory: string,
	story: (held: Lock, recovery: Recovery) => Promise<T>,
): Promise<T> {
	const held = lock(directory);
	try {
		return await story(held, recoverLocked(directory));
	} finally {
		held.release();
	}
}

/**
 * Replaces the images of `donor` by those of the draft. Files of the donor (its `names`) that the draft does not hold are
 * removed; those kept under their name are not touched. When it fails or is aborted, the directory is as before.
 *
 * @throws NecromancerError ERR_IMAGE_LOCKED; ERR_IMAGE_UNFINISHED when an earlier patch had to be finished after the
 * donor was read; what {@link writeDraft} throws.
 */
export async function commitInPlace(draft: ImageDraft, donor: ImageDir, options: CommitOptions = {}): Promise<Written> {
	checkDraft(draft);
	const held = options.lock ?? lock(donor.path);
	try {
		if (recoverLocked(donor.path) === "finished") {
			refuse("ERR_IMAGE_UNFINISHED", {
				subject: donor.path,
				finding: "an earlier patch was finished after the donor had been read",
				remedy: "run it again",
			});
		}
		// The inventory is always new, if only by name: it must come last.
		const untouched = [...draft.copies].filter(([name, from]) => name === from && name !== INVENTORY);
		const stay = new Set(untouched.map(([name]) => name));
		const copies = new Map([...draft.copies].filter(([name]) => !stay.has(name)));
		const wanted = new Set(namesIn(draft));
		const removals = donor.names.filter((name) => !wanted.has(name) && isPlainName(name));
		const written = await install({ ...draft, copies }, donor, donor.path, options, { removals, link: true });
		// what stayed is as private now as what is new: together they are a process's memory
		for (const [name] of untouched) makePrivate(join(donor.path, name), OWNER_ONLY_FILE);
		makePrivate(donor.path, OWNER_ONLY_DIRECTORY);
		return written;
	} finally {
		if (options.lock === undefined) held.release();
	}
}
