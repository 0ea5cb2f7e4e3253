import type { ImageDir } from "../criu/image-dir.ts";
import { isImageName } from "../criu/own-names.ts";

/**
 * The file names of the new directory: which images of the donor stay, which go, which names are taken. Images are named after
 * pids, tids and object ids, so new ids rename them.
 */
export interface NameTable {
	/** Target → donor file, byte for byte. */
	readonly kept: Map<string, string>;
	/** Leaves a donor file out. */
	drop(name: string): void;
	/** Leaves a donor file out and keeps its name for a new one. */
	replace(name: string): void;
	/** The lowest n >= 1 for which `name(n)` is taken neither by a kept file nor by an earlier answer. */
	fresh(name: (n: number) => string): number;
}

export function nameTable(donor: ImageDir): NameTable {
	const kept = new Map(donor.names.filter(isImageName).map((name) => [name, name]));
	const given = new Set<string>();
	/** Where the next search starts, by the name for 0: all lower numbers are taken. */
	const full = new Map<string, number>();
	return {
		kept,
		drop: (name) => {
			kept.delete(name);
			full.clear();
		},
		replace: (name) => {
			kept.delete(name);
			given.add(name);
		},
		fresh: (name) => {
			let n = full.get(name(0)) ?? 1;
			while (kept.has(name(n)) || given.has(name(n))) n++;
			given.add(name(n));
			full.set(name(0), n + 1);
			return n;
		},
	};
}
