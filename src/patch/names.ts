import type { ImageDir } from "../criu/image-dir.ts";

/**
 * The directory that is to come: which donor files stay, which go, which names are taken. Image files are named after
 * pids, tids and object ids, so a new identity moves them.
 */
export interface Names {
	/** Target → donor file, byte for byte. */
	readonly kept: Map<string, string>;
	/** Leaves a donor file out. */
	drop(name: string): void;
	/** The lowest n >= 1 for which `name(n)` is taken neither by a kept file nor by an earlier answer. */
	fresh(name: (n: number) => string): number;
}

export function namesOf(donor: ImageDir): Names {
	const kept = new Map(donor.names.map((name) => [name, name]));
	const given = new Set<string>();
	return {
		kept,
		drop: (name) => void kept.delete(name),
		fresh: (name) => {
			let n = 1;
			while (kept.has(name(n)) || given.has(name(n))) n++;
			given.add(name(n));
			return n;
		},
	};
}
