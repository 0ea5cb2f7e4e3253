import type { Mapping } from "./task.ts";

/** The kernel shows the vvar area as one or (from 6.13) two VMAs; it is one thing, to us and in images. */
export function withOneVvar(mappings: readonly Mapping[]): Mapping[] {
	const merged: Mapping[] = [];
	for (const mapping of mappings) {
		const before = merged.at(-1);
		if (mapping.backing.kind === "vvar" && before?.backing.kind === "vvar" && before.end === mapping.start)
			merged[merged.length - 1] = { ...before, end: mapping.end };
		else merged.push(mapping);
	}
	return merged;
}
