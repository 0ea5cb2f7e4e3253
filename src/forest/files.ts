import type { Description } from "../descriptors/kinds.ts";
import type { FileIdentity } from "./file-identity.ts";
import type { FileLock } from "./locks.ts";

/** What a process has open, and where its paths start. */
export interface Files {
	/** Ascending by number. */
	readonly descriptors: readonly Descriptor[];
	/** Set where other processes have the same descriptor table (CLONE_FILES): equal numbers are one table. */
	readonly table?: number;
	/** Locks on files that it holds, and leases. */
	readonly locks?: readonly FileLock[];
	/** As seen from the root of the mount namespace, not from `root`. */
	readonly cwd?: string;
	readonly root?: string;
	/** Set where the directory had been deleted: the id of its `GhostFile`. */
	readonly cwdGhost?: number;
	readonly rootGhost?: number;
	/** Of several processes together: deleted directories that others of them are in. */
	readonly otherGhosts?: readonly number[];
	readonly umask?: number;
	/** Identities of its files at the dump, by path; only from images whose writers are trusted. */
	readonly identities?: ReadonlyMap<string, FileIdentity>;
}

export interface Descriptor {
	readonly number: number;
	readonly closeOnExec: boolean;
	readonly description: Description;
}

/** Its working and root directory, as far as they are found by their names. */
export const namedDirectories = ({
	cwd,
	root,
	cwdGhost,
	rootGhost,
}: Pick<Files, "cwd" | "root" | "cwdGhost" | "rootGhost">): readonly string[] =>
	[cwdGhost === undefined ? cwd : undefined, rootGhost === undefined ? root : undefined].filter(
		(path) => path !== undefined,
	);

/** The deleted directories that a process works in, or starts its paths at: ids of `GhostFile`s. */
export const enteredGhosts = ({
	cwdGhost,
	rootGhost,
	otherGhosts = [],
}: Pick<Files, "cwdGhost" | "rootGhost" | "otherGhosts">): readonly number[] =>
	[cwdGhost, rootGhost, ...otherGhosts].filter((id) => id !== undefined);

/**
 * The same files with other descriptions. Each is changed once, so that descriptors that share one still do.
 *
 * @param change is told the lowest number that has the description.
 */
export function withDescriptions<F extends Pick<Files, "descriptors">>(
	files: F,
	change: (description: Description, number: number) => Description,
): F {
	const done = new Map<number, Description>();
	const descriptors = files.descriptors.map((descriptor) => {
		const { number, description } = descriptor;
		const changed = done.get(description.id) ?? change(description, number);
		done.set(description.id, changed);
		return changed === description ? descriptor : { ...descriptor, description: changed };
	});
	return { ...files, descriptors };
}
