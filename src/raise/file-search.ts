import type { TreeRoot } from "../inputs/open-nodes.ts";

/** Where files that a dead process had mapped are looked for. */
export interface FileSearch {
	/** The root of the tree that the paths in the core start from; without it this host's. Nothing leads out of it. */
	readonly sysroot?: string;
	/** A path in the core → the file to take for it, opened as whoever names it. */
	readonly mapFiles?: ReadonlyMap<string, string>;
	/** Directories that are searched for build-ids. */
	readonly search?: readonly string[];
	/** Take files that are known to be others. */
	readonly allowMismatch?: boolean;
	/** `zeros` replaces missing data files by what the core holds of them, and zeros. */
	readonly missingFiles?: "error" | "zeros";
}

/** What the search needs besides. */
export interface SearchPlaces {
	/** The directories that are named, as the agent has them open. */
	readonly sysroot?: TreeRoot;
	readonly search: readonly TreeRoot[];
	/** When the core was written, in nanoseconds since 1970: a file that changed later is not what was mapped. */
	readonly writtenAt?: bigint;
	/** Give the process what its user may not read (--trust). */
	readonly trust?: boolean;
}
