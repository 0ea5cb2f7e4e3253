import type { FileEntry } from "../../criu/wire/generated/schema.ts";
import { regularFile } from "../../descriptors/file.ts";
import type { Memory } from "../../forest/task.ts";
import type { GhostRecords } from "./ghosts.ts";

/** Builds files.img. */
export interface FilesImage {
	readonly entries: readonly FileEntry[];
	/** Adds an entry, under `id` or the lowest that no description has. */
	add(make: (id: number) => FileEntry, id?: number): number;
	/**
	 * The entry that mappings of a file, or the executable, name: by its path and looks or, if it lost that path, by its ghost.
	 *
	 * @param looks what the process knows of the files that it maps.
	 */
	mapped(looks: Memory["files"], path: string, ghost?: number): number;
	readonly ghosts: GhostRecords;
}

/** @param taken ids of descriptions, which keep their own. */
export function filesImage(taken: Pick<ReadonlySet<number>, "has">, ghosts: GhostRecords): FilesImage {
	const entries: FileEntry[] = [];
	const mapped = new Map<string | number, number>();
	let next = 1;
	const add = (make: (id: number) => FileEntry, own?: number): number => {
		while (own === undefined && taken.has(next)) next++;
		const id = own ?? next++;
		entries.push(make(id));
		return id;
	};
	return {
		entries,
		add,
		ghosts,
		mapped: (looks, path, ghost) => {
			// size, mode and build-id by path are those of the file that has the path now, not of the ghost
			const file = (ghost === undefined ? looks.get(path) : undefined) ?? { path };
			const key = ghost ?? JSON.stringify([path, file.size?.toString(), file.mode, file.buildId]);
			const known = mapped.get(key);
			if (known !== undefined) return known;
			const id = add((fresh) => regularFile(fresh, file));
			if (ghost !== undefined) ghosts.lost(id, ghost);
			mapped.set(key, id);
			return id;
		},
	};
}
