import type { ByteSource } from "../bytes/source.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";
import type { InputFile } from "../program/args.ts";
import type { Mapping, Task } from "../task/task.ts";

/**
 * What a process needs a file of the host for, and so how it is open before the process exists. `node`: O_PATH, to be opened
 * by the process with flags of its own, or to be entered; `link`: the same of what may be a symbolic link itself. `read` and
 * `write`: to be mapped, O_RDONLY and O_RDWR.
 */
export type FileUse = "node" | "link" | "read" | "write";

/** A file of the host that a process needs. */
export interface NeededFile {
	readonly path: string;
	readonly use: FileUse;
	/** As whom it is opened: the process's user, or whoever makes the process, who named it. */
	readonly by: "user" | "caller";
}

/** The same, open: nobody opens it by its path again. */
export interface OpenedInput extends NeededFile {
	/** In the agent that makes the process. */
	readonly number: number;
	/** Its user may not open it himself: the restorer opens it for the process. */
	readonly lent: boolean;
}

/** Files that are open before the process exists: whoever made them decided what they are, and nobody opens them by name again. */
export interface Inputs {
	/** What the bytes of a source come from. */
	source(source: ByteSource): InputFile;
	/** @throws RangeError for a file that was not said to be needed: a bug. */
	file(path: string, use: FileUse, by?: NeededFile["by"]): ProcessInput;
	/** In the order of their numbers, with the number that each has in the agent. */
	readonly all: readonly (InputFile & { readonly agent: number })[];
}

export interface ProcessInput extends InputFile {
	readonly lent: boolean;
}

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

/** One description for all mappings that it may be opened for in the same way. */
export const useOfMapping = ({ shared, prot, backing }: Mapping): "read" | "write" =>
	shared && backing.kind === "file" && (backing.writable || (prot & PROT_WRITE) !== 0) ? "write" : "read";

/** A symbolic link itself can be open, with O_PATH and O_NOFOLLOW only (open(2)). */
export const useOfOpen = (flags: number): "node" | "link" =>
	(flags & O.PATH) !== 0 && (flags & O.NOFOLLOW) !== 0 ? "link" : "node";

/** One for each file and each use of it. */
export const keyOfInput = (path: string, use: FileUse, by: NeededFile["by"]): string => `${by} ${use} ${path}`;

/** As an agent would have them that opened one after the other: for plans that are not carried out. */
export const asIfOpened = (needed: readonly NeededFile[], { length }: readonly ByteSource[]): OpenedInput[] =>
	needed.map((file, i) => ({ ...file, number: FIRST_INPUT_FD + length + i, lent: false }));

/** One behind the highest descriptor that the agent has when it makes the process. */
export const behindInputs = ({ length }: readonly ByteSource[], opened: readonly OpenedInput[]): number =>
	opened.reduce((most, { number }) => Math.max(most, number + 1), FIRST_INPUT_FD + length);

/** The agent's descriptor of a source that it was given at its start. */
function numberOf(source: ByteSource, given: readonly ByteSource[]): number {
	const at = given.indexOf(source);
	return at < 0 ? unknown(source.name) : FIRST_INPUT_FD + at;
}

/**
 * @param given What the agent was given at its start, in its order; not all of it need be of the process.
 * @param first The first number that they have in the process while it is made.
 */
export function inputsFrom(
	sources: readonly ByteSource[],
	given: readonly ByteSource[],
	opened: readonly OpenedInput[],
	first: number,
): Inputs {
	const bySource = new Map(sources.map((source, i) => [source, inputAt(source.name, first + i)]));
	const files = new Map(
		opened.map(({ path, use, by, lent }, i) => [
			keyOfInput(path, use, by),
			{ ...inputAt(path, first + sources.length + i), lent },
		]),
	);
	return {
		all: [
			...[...bySource].map(([source, input]) => ({ ...input, agent: numberOf(source, given) })),
			...[...files.values()].map((input, i) => ({ ...input, agent: opened[i]?.number ?? -1 })),
		],
		source: (source) => bySource.get(source) ?? unknown(source.name),
		file: (path, use, by = "user") =>
			files.get(keyOfInput(path, use, by)) ?? unknown(`${path}, to ${use} by the ${by},`),
	};
}

const inputAt = (path: string, number: number): InputFile => ({ name: lastOf(path), number });

/** `log` of `/tmp/log`. */
export const lastOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1) || path;

const unknown = (what: string): never => {
	throw new RangeError(`${what} is no input of the process`);
};
