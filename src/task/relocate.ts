import type { PartialMapping, PartialTask } from "./partial-task.ts";

/**
 * The same dead process with its files where this host has them.
 *
 * @param found The path that a file was mapped under → where it is here. A file that had been deleted has a path again then.
 * @param gone Paths of files that are to come from the core: their mappings become as those of deleted files.
 */
export function relocate(
	dead: PartialTask,
	found: ReadonlyMap<string, string>,
	gone: ReadonlySet<string>,
): PartialTask {
	const { memory } = dead;
	const linked = linkedPaths(memory.mappings);
	const move = (path: string): string => (gone.has(path) ? path : (found.get(path) ?? path));
	return {
		...dead,
		memory: {
			...memory,
			mappings: memory.mappings.map((mapping) => {
				const { file } = mapping;
				if (file === undefined) return mapping;
				const { path } = file;
				if (gone.has(path)) return { ...mapping, file: { ...file, deleted: true } };
				const here = found.get(path);
				if (here === undefined || (file.deleted && linked.has(path))) return mapping;
				return { ...mapping, file: { ...file, path: here, deleted: false } };
			}),
			executable: move(memory.executable),
			buildIds: new Map([...memory.buildIds].map(([path, id]) => [move(path), id])),
		},
	};
}

/**
 * Paths of mapped files that still had them when the process died. One of a deleted file may be among them: another file
 * has taken its path since, and both were mapped.
 */
export const linkedPaths = (mappings: readonly PartialMapping[]): ReadonlySet<string> =>
	new Set(mappings.flatMap(({ file }) => (file === undefined || file.deleted ? [] : [file.path])));
