import { type Directory, empty, entryIn, makeDirectory, removeFlat, syncDirectory } from "../../bytes/directory.ts";
import { refuse } from "../../errors.ts";
import { STAGING } from "../own-names.ts";
import type { WriteOptions } from "../pages/pages.ts";
import { withdrawJournal, writeJournal } from "./journal.ts";
import { type Donor, type NewImages, namesIn, PARENT, type Written, writeNewImages } from "./new-images.ts";
import { finish, NEW } from "./recover.ts";

/*
 * How a directory is patched so that it is the old one or the new one whenever we die:
 *
 *   DIR                               becomes ours alone, so that no name in it changes under our hands (claim.ts)
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

/** Where the donor lives in the directory itself: its files that go. */
export interface Replacing {
	readonly removals: readonly string[];
}

/**
 * Builds the files of a draft in the staging directory of `directory`, which must be free, and moves them out. The caller
 * holds the lock, and nobody else may change the directory. A failure before the journal is written leaves it as it was.
 *
 * @throws NecromancerError what {@link writeNewImages}, `options.requireUnchanged` and {@link finish} throw.
 */
export async function install(
	draft: NewImages,
	donor: Donor | undefined,
	directory: Directory,
	options: WriteOptions,
	replacing?: Replacing,
): Promise<Written> {
	const staging = makeDirectory(directory, STAGING);
	try {
		let written: Written;
		let journal: Parameters<typeof finish>[2];
		try {
			const fresh = makeDirectory(staging, NEW);
			try {
				written = await writeNewImages(draft, donor, fresh, options, replacing !== undefined);
				options.signal?.throwIfAborted();
				options.requireUnchanged?.();
				const moves = [...namesIn(draft), PARENT].flatMap((name) => {
					const entry = entryIn(fresh, name);
					return entry === undefined ? [] : [{ name, size: entry.size }];
				});
				journal = { moves, removals: replacing?.removals ?? [], sync: options.sync ?? false };
			} finally {
				fresh.close();
			}
			for (const { name } of journal.moves) requireReplaceable(directory, name);
			for (const name of journal.removals) requireReplaceable(directory, name);
			if (journal.sync) syncDirectory(directory);
			writeJournal(staging, journal);
		} catch (cause) {
			withdrawJournal(staging);
			empty(staging, [NEW]);
			removeFlat(directory, STAGING);
			throw cause;
		}
		finish(directory, staging, journal);
		return written;
	} finally {
		staging.close();
	}
}

/** Found before the point of no return: what rename(2) and unlink(2) take is no directory. */
function requireReplaceable(directory: Directory, name: string): void {
	if (entryIn(directory, name)?.isDirectory() !== true) return;
	refuse("ERR_OUTPUT_EXISTS", {
		subject: directory.nameOf(name),
		finding: "is a directory",
		expectation: "expected a file, or nothing",
		remedy: "move it away",
	});
}
