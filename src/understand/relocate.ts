import type { PartialMapping, PartialTask } from "../forest/partial-task.ts";
import type { Task } from "../forest/task.ts";

/** What has become of the files that a dead process had mapped. */
export interface Relocation {
	/** The path that a file was mapped under → where it is here, absolute and without symbolic links. */
	readonly found: ReadonlyMap<string, string>;
	/** Paths of files that are to come from the core: it holds all that was mapped of them. */
	readonly gone: ReadonlySet<string>;
	/** Paths of found files that are known to be others. */
	readonly others: ReadonlySet<string>;
}

/**
 * The same dead process with its files where this host has them. A deleted file that was found has a path again; mappings of
 * one that is gone become as those of deleted files. Other files are not held to the build-ids of those they stand for.
 */
export function relocate(dead: PartialTask, { found, gone, others }: Relocation): PartialTask {
	const { memory } = dead;
	const linked = linkedPaths(memory.mappings);
	const move = (path: string): string => (gone.has(path) ? path : (found.get(path) ?? path));
	const kept = [...memory.buildIds].filter(([path]) => !others.has(path));
	return {
		...dead,
		memory: {
			...memory,
			mappings: memory.mappings.map((mapping) => {
				const { file } = mapping;
				if (file === undefined) return mapping;
				const { path } = file;
				if (gone.has(path))
					return { ...mapping, file: { ...file, deleted: true, ...(file.deleted ? {} : { absent: true }) } };
				const here = found.get(path);
				if (here === undefined || (file.deleted && linked.has(path))) return mapping;
				return { ...mapping, file: { ...file, path: here, deleted: false } };
			}),
			executable: move(memory.executable),
			buildIds: new Map(kept.map(([path, id]) => [move(path), id])),
		},
	};
}

/** A donor whose mapped files lie where those of the dead process were found, so that both still name the same files alike. */
export function relocateDonor(donor: Task, { found }: Pick<Relocation, "found">): Task {
	const { memory } = donor;
	const move = (path: string): string => found.get(path) ?? path;
	return {
		...donor,
		memory: {
			...memory,
			mappings: memory.mappings.map((mapping) => {
				const { backing } = mapping;
				return backing.kind === "file" ? { ...mapping, backing: { ...backing, path: move(backing.path) } } : mapping;
			}),
			executable: move(memory.executable),
			files: new Map([...memory.files.values()].map((file) => [move(file.path), { ...file, path: move(file.path) }])),
		},
	};
}

/**
 * Paths of mapped files that still had them when the process died. One of a deleted file may be among them: another file
 * has taken its path since, and both were mapped.
 */
export const linkedPaths = (mappings: readonly PartialMapping[]): ReadonlySet<string> =>
	new Set(mappings.flatMap(({ file }) => (file === undefined || file.deleted ? [] : [file.path])));
