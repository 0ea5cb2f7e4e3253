import { join } from "node:path";
import { entryAt, makeDirectory, removeFlat, syncDirectory } from "../bytes/directory.ts";
import { type Donor, type ImageDraft, namesIn, PARENT, type Written, writeDraft } from "./draft.ts";
import { type Journal, withdrawJournal, writeJournal } from "./journal.ts";
import { STAGING } from "./own-names.ts";
import type { WriteOptions } from "./pages.ts";
import { finish, NEW } from "./recover.ts";

/*
 * How a directory is patched so that it is the old one or the new one whenever we die:
 *
 *   DIR/.necromancer/new/…            all new files are written here; dying leaves the old directory, and this
 *   DIR/.necromancer/journal.json     appears by rename(2), listing what is left: from here on there is no way back
 *   DIR/inventory.img                 is removed: CRIU refuses the directory while it is a mixture
 *   DIR/…                             old files are removed, new ones renamed to their places
 *   DIR/inventory.img                 the new one comes last
 *   DIR/.necromancer                  is renamed to .necromancer-done, and removed
 *
 * All of this survives SIGKILL. It survives a loss of power as well with `sync`, which makes each stage wait for the
 * disk; it is off by default because a gigabyte takes seconds to get there.
 */

/** Where the donor lives in the directory itself. */
export interface Replacing {
	/** Its files that go. */
	readonly removals: readonly string[];
	/** As for {@link writeDraft}. */
	readonly link: boolean;
}

/**
 * Builds the files of a draft in the staging directory of `directory`, which must be free, and moves them out. The caller
 * holds the lock. A failure before the journal is written leaves the directory as it was.
 *
 * @throws NecromancerError what {@link writeDraft} and {@link finish} throw.
 */
export async function install(
	draft: ImageDraft,
	donor: Donor | undefined,
	directory: string,
	options: WriteOptions,
	{ removals, link }: Replacing = { removals: [], link: false },
): Promise<Written> {
	const staging = join(directory, STAGING);
	const fresh = join(staging, NEW);
	makeDirectory(staging);
	let written: Written;
	let journal: Journal;
	try {
		makeDirectory(fresh);
		written = await writeDraft(draft, donor, fresh, options, link);
		options.signal?.throwIfAborted();
		const moves = [...namesIn(draft), PARENT].flatMap((name) => {
			const entry = entryAt(join(fresh, name));
			return entry === undefined ? [] : [{ name, size: entry.size }];
		});
		journal = { moves, removals, sync: options.sync ?? false };
		if (journal.sync) syncDirectory(directory);
		writeJournal(staging, journal);
	} catch (cause) {
		withdrawJournal(staging);
		removeFlat(staging, [NEW]);
		throw cause;
	}
	finish(directory, journal);
	return written;
}
