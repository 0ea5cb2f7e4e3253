/*
 * The names that we put into image directories besides images. CRIU looks at none of them.
 */

/** Where a new directory is built; see commit.ts. */
export const STAGING = ".necromancer";
/** Its name when it is done and being removed. */
export const SPENT = ".necromancer-done";
/** In a staging directory that is complete: what is left to do. */
export const JOURNAL = "journal.json";
/** The same while it is written. */
export const JOURNAL_DRAFT = `${JOURNAL}.draft`;
/** Followed by who holds the lock. */
export const LOCK = ".necromancer-lock.";

const isOurs = (name: string): boolean => name === STAGING || name.startsWith(`${STAGING}-`);

/** Whether `name` is that of a file in the directory itself, and none of ours. */
export const isPlainName = (name: string): boolean =>
	name.length > 0 &&
	Buffer.byteLength(name) <= 255 &&
	!/[/\0]/.test(name) &&
	name !== "." &&
	name !== ".." &&
	!isOurs(name);

/** Whether a dump may have written a file of that name: what else lies in its directory is none of our business. */
export const isImageName = (name: string): boolean => isPlainName(name) && /\.img$|^stats-(?:dump|restore)$/.test(name);
