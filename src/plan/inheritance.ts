import type { Address } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import type { Range } from "../bytes/range.ts";
import type { Mapping } from "../forest/task.ts";

/** Private memory that a process finds in its place, as whoever made it has mapped it. */
export interface InheritedMapping {
	readonly mapping: Mapping;
	/** What was filled in, ascending, whole pages; all else is as it was mapped. */
	readonly contents: readonly Placed<Address>[];
	/** Pages that a mapping which becomes of it has with the same bytes, where they were compared: all of them, ascending. */
	readonly alike?: ReadonlyMap<Mapping, readonly Range[]>;
}

/** What a process fills for those that it makes. */
export interface LeftMapping extends InheritedMapping {
	/** Of its contents, what is filled in now. */
	readonly fills: readonly Placed<Address>[];
	/** It was not there before. */
	readonly isNew: boolean;
}

export interface Inheritance {
	/** What it maps before it makes others, and fills for them. */
	readonly leaves: readonly LeftMapping[];
	/** Of what it has found, that which stays as it is: for itself, or for others. */
	readonly keeps: readonly InheritedMapping[];
}

/** Of who finds nothing, and leaves nothing. */
export const NO_INHERITANCE: Inheritance = { leaves: [], keeps: [] };

/** All that lies there when it makes its own memory. */
export const foundBy = ({ leaves, keeps }: Inheritance): readonly InheritedMapping[] => [...leaves, ...keeps];
