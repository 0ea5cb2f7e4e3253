import type { Description } from "../descriptors/kinds.ts";
import type { FileIdentity } from "./file-identity.ts";

/** What a process has open, and where its paths start. */
export interface Files {
	/** Ascending by number. */
	readonly descriptors: readonly Descriptor[];
	/** Set where other processes have the same descriptor table (CLONE_FILES): equal numbers are one table. */
	readonly table?: number;
	/** As seen from the root of the mount namespace, not from `root`. */
	readonly cwd?: string;
	readonly root?: string;
	readonly umask?: number;
	/** Identities of its files at the dump, by path; only from images whose writers are trusted. */
	readonly identities?: ReadonlyMap<string, FileIdentity>;
}

export interface Descriptor {
	readonly number: number;
	readonly closeOnExec: boolean;
	readonly description: Description;
}
