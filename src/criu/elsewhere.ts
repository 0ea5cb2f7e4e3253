import { basename, dirname, join, resolve } from "node:path";
import { entryAt, list, makeDirectory, move, removeFlat, syncDirectory } from "../bytes/directory.ts";
import { refuse } from "../errors.ts";
import { checkDraft, type Donor, type ImageDraft, type Written, writeDraft } from "./draft.ts";
import { fateOf, holderIn, ourselves, textOf } from "./holder.ts";
import { install } from "./install.ts";
import { lock } from "./lock.ts";
import { isPlainName } from "./own-names.ts";
import type { WriteOptions } from "./pages.ts";
import { isUnfinished, recoverLocked } from "./recover.ts";

/**
 * Writes the images of a draft into a new directory and leaves the donor, if there is one, alone. `out` must be absent or empty. An absent
 * one is built beside its place under a name that tells whose it is, `.OUT.necromancer.…`, and renamed at the end; into
 * an empty one, which may be a mount point, the files move as they do in place. When it fails or is aborted, nothing is
 * left; what SIGKILL leaves, the next call for the same `out` removes.
 *
 * @throws NecromancerError ERR_OUTPUT_EXISTS; ERR_IMAGE_LOCKED when another process writes into the same empty
 * directory; what {@link writeDraft} throws.
 */
export async function writeElsewhere(
	draft: ImageDraft,
	donor: Donor | undefined,
	out: string,
	options: WriteOptions = {},
): Promise<Written> {
	checkDraft(draft);
	const target = resolve(out);
	if (entryAt(target) === undefined) return await build(draft, donor, target, options);
	if (!entryAt(join(target, "."))?.isDirectory() || !isUnfinished(target)) refuseFilled(out);
	const held = lock(target);
	try {
		const finished = recoverLocked(target) === "finished";
		refuseFilled(out, finished ? " of an earlier patch, finished just now" : "");
		return await install(draft, donor, target, options);
	} finally {
		held.release();
	}
}

/**
 * For those who have much to do before they write: says at once what {@link writeElsewhere} would.
 *
 * @throws NecromancerError ERR_OUTPUT_EXISTS; ERR_IO where the directory around it is not there.
 */
export function requireFree(out: string): void {
	const target = resolve(out);
	list(dirname(target));
	if (entryAt(target) !== undefined) refuseFilled(out);
}

async function build(
	draft: ImageDraft,
	donor: Donor | undefined,
	target: string,
	options: WriteOptions,
): Promise<Written> {
	const parent = dirname(target);
	const prefix = `.${basename(target).slice(0, LONGEST)}.necromancer.`;
	removeAbandoned(parent, prefix);
	const draftPath = join(parent, `${prefix}${textOf(ourselves())}`);
	makeDirectory(draftPath, target);
	try {
		const written = await writeDraft(draft, donor, draftPath, options);
		options.signal?.throwIfAborted();
		// rename(2) replaces nothing but an empty directory
		if (entryAt(target) !== undefined) refuseFilled(target);
		move(draftPath, target);
		if (options.sync) syncDirectory(parent);
		return written;
	} catch (cause) {
		removeFlat(draftPath);
		throw cause;
	}
}

/** Characters of the name; the holder's takes up to 110 more, and a name has at most 255 bytes. */
const LONGEST = 32;

/** Removes what builders of the same directory left that are dead. In a place like /tmp only our own are trusted. */
function removeAbandoned(parent: string, prefix: string): void {
	for (const name of list(parent)) {
		const holder = name.startsWith(prefix) ? holderIn(name.slice(prefix.length)) : undefined;
		if (holder === undefined || fateOf(holder) !== "dead") continue;
		const entry = entryAt(join(parent, name));
		if (entry?.isDirectory() && entry.uid === process.geteuid?.()) removeFlat(join(parent, name));
	}
}

function refuseFilled(out: string, whose = ""): void {
	const isDirectory = entryAt(join(out, "."))?.isDirectory() === true;
	const files = isDirectory ? list(out).filter(isPlainName).length : 0;
	if (isDirectory && files === 0) return;
	refuse("ERR_OUTPUT_EXISTS", {
		subject: out,
		finding: isDirectory ? `holds ${files} ${files === 1 ? "file" : "files"}${whose}` : "is no directory",
		expectation: "expected an empty directory, or none",
		remedy: "name another",
	});
}
