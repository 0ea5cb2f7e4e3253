import type { ByteSource } from "../bytes/source.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";
import type { Task } from "../task/task.ts";

/** Files that are open before the process exists: whoever made them decided what they are, and nobody opens them by name again. */
export interface Inputs {
	/** Where the bytes of a source are open while the process is made. */
	numberOf(source: ByteSource): number;
	/** Where the file of a path is open (O_PATH), which the process's user may not open himself. */
	lent(path: string): number | undefined;
	readonly count: number;
}

/** Files of paths that the restorer has open for the process, by number in the agent. */
export type Lent = ReadonlyMap<string, number>;

/**
 * What the caller named and the process's bytes come from, in the order in which the agent has them open, from FIRST_INPUT_FD
 * on: the core, or the images.
 */
export function sourcesOf({ memory, files }: Pick<Task, "memory" | "files">): readonly ByteSource[] {
	const sources = new Set<ByteSource>();
	for (const { source } of memory.contents) sources.add(source);
	for (const { contents } of memory.objects) for (const { source } of contents) sources.add(source);
	for (const { contents } of memory.ghosts ?? []) for (const { source } of contents) sources.add(source);
	for (const { description } of files.descriptors)
		if ((description.kind === "pipe" || description.kind === "fifo") && description.pipe.content !== undefined)
			sources.add(description.pipe.content.source);
	return [...sources];
}

/** One behind the highest descriptor that the agent has when it makes the process. */
export const behindInputs = (sources: readonly ByteSource[], lent: Lent): number =>
	[...lent.values()].reduce((most, number) => Math.max(most, number + 1), FIRST_INPUT_FD + sources.length);

/** @param first The first number that they have in the process while it is made. */
export function inputsFrom(sources: readonly ByteSource[], lent: Lent, first: number): Inputs {
	const numbers = new Map(sources.map((source, i) => [source, first + i]));
	const paths = new Map([...lent.keys()].map((path, i) => [path, first + sources.length + i]));
	return {
		count: numbers.size + paths.size,
		numberOf: (source) => {
			const number = numbers.get(source);
			if (number === undefined) throw new RangeError(`${source.name} is no source of the process`);
			return number;
		},
		lent: (path) => paths.get(path),
	};
}
