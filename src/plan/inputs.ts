import type { ByteSource } from "../bytes/source.ts";
import type { FileUse, MadeInput, NeededFile, OpenInputs, ProcessInput } from "../descriptors/inputs.ts";
import { waitingIn } from "../descriptors/kinds.ts";
import type { Mapping, Task } from "../forest/task.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";
import type { InputFile } from "../program/args.ts";

export type { FileUse, MadeInput, NeededFile, ProcessInput } from "../descriptors/inputs.ts";

/** The same, open: nobody opens it by its path again. */
export interface OpenedInput extends NeededFile {
	/** In the agent that makes the process. */
	readonly number: number;
	/** Its user may not open it himself: the restorer opens it for the process. */
	readonly lent: boolean;
}

/** Files that are open before the process exists, by the numbers that they have in the agent, or in the process. */
export type InputNumbers = OpenInputs;

/** Whoever made them decided what they are, and nobody opens them by name again. Numbers are those in the process. */
export interface Inputs extends InputNumbers {
	/** Those that they have in the agent. */
	readonly inAgent: InputNumbers;
	/** The first number of the agent's that something made has; {@link behindAgent} where nothing is made. */
	readonly firstMade: number;
	/** A number of the agent's that nothing has, behind all that is made. */
	readonly behindAgent: number;
	/** The same to one of several users: a file that another has opened is not his. */
	ofUser(whose: string | undefined): Inputs;
	/** Those that have numbers of their own meanwhile, in the order of these. */
	readonly all: readonly MovedInput[];
	/** Those that wait under the number of the one descriptor that they are for. */
	readonly placed: readonly MovedInput[];
}

/** An input, and the number that it has in the agent. */
export interface MovedInput extends InputFile {
	readonly agent: number;
}

/**
 * What the caller named and the process's bytes come from, in the order in which the agent has them open, from FIRST_INPUT_FD
 * on: the core, or the images.
 */
export function sourcesOf({ memory, files, ipc }: Pick<Task, "memory" | "files" | "ipc">): readonly ByteSource[] {
	const sources = new Set<ByteSource>();
	for (const { source } of memory.contents) sources.add(source);
	for (const { contents } of memory.objects) for (const { source } of contents) sources.add(source);
	for (const { contents } of ipc?.segments ?? []) for (const { source } of contents) sources.add(source);
	for (const { contents } of memory.ghosts ?? []) for (const { source } of contents) sources.add(source);
	for (const { description } of files.descriptors) {
		// a message of no bytes comes from nowhere
		for (const { source, length } of waitingIn(description)) if (length > 0n) sources.add(source);
	}
	return [...sources];
}

/** One description for all mappings that it may be opened for in the same way. */
export const useOfMapping = ({ shared, prot, backing }: Mapping): "read" | "write" =>
	shared && backing.kind === "file" && (backing.writable || (prot & PROT_WRITE) !== 0) ? "write" : "read";

/** One for each file and each use of it. */
export const keyOfInput = (path: string, use: FileUse, by: NeededFile["by"], whose = ""): string =>
	`${by}${by === "user" && whose !== "" ? ` (${whose})` : ""} ${use} ${path}`;

/** As an agent would have them that opened one after the other: for plans that are not carried out. */
export const asIfOpened = (needed: readonly NeededFile[], { length }: readonly ByteSource[]): OpenedInput[] =>
	needed.map((file, i) => ({ ...file, number: FIRST_INPUT_FD + length + i, lent: false }));

/** One behind the highest descriptor that the agent has when it makes the process. */
const behindInputs = ({ length }: readonly ByteSource[], opened: readonly OpenedInput[]): number =>
	opened.reduce((most, { number }) => Math.max(most, number + 1), FIRST_INPUT_FD + length);

/** The agent's descriptor of a source that it was given at its start. */
function numberOf(source: ByteSource, given: readonly ByteSource[]): number {
	const at = given.indexOf(source);
	return at < 0 ? unknown(source.name) : FIRST_INPUT_FD + at;
}

/**
 * Numbers of the agent's that are left free: the kernel puts there what is opened before it gets its own, and that is no more at
 * a time: both ends of a pipe, and one opened once more.
 */
const LANDING = 3;

/** How many numbers the agent needs for these, with one for what the workshop has open only meanwhile. */
export const roomInAgent = ({ given, opened, made }: Omit<Provisions, "sources">): number =>
	behindInputs(given, opened) + LANDING + made.length + 1;

/** All that a process is made of, as the agent has it. */
export interface Provisions {
	/** What its bytes come from. */
	readonly sources: readonly ByteSource[];
	/** What the agent was given at its start, in its order; not all of it need be of the process. */
	readonly given: readonly ByteSource[];
	readonly opened: readonly OpenedInput[];
	readonly made: readonly MadeInput[];
	/** Descriptors that an input waits under, by {@link keyOfInput}: where there are not numbers enough for all. */
	readonly placed?: ReadonlyMap<string, number>;
}

/** @param first The first number that they have in the process while it is made. */
export function inputsFrom({ sources, given, opened, made, placed = new Map() }: Provisions, first: number): Inputs {
	const behind = behindInputs(given, opened) + LANDING;
	let next = first;
	const rows = [
		...sources.map((source) => ({
			key: source,
			file: undefined,
			name: source.name,
			agent: numberOf(source, given),
			lent: false,
		})),
		...opened.map((input) => ({
			key: keyOfInput(input.path, input.use, input.by, input.whose),
			file: keyOfInput(input.path, input.use, input.by),
			name: input.path,
			agent: input.number,
			lent: input.lent,
			// what the workshop makes of it the process has
			stays: input.use === "terminal",
		})),
		...made.map(({ key, name }, i) => ({ key, file: undefined, name, agent: behind + i, lent: false })),
	].map((row) => {
		const stays = "stays" in row && row.stays;
		const place = typeof row.key === "string" ? placed.get(row.key) : undefined;
		const number = stays ? row.agent : (place ?? next++);
		return { ...row, name: lastOf(row.name), number, stays, waits: place !== undefined };
	});
	const numbers = (choose: (row: (typeof rows)[number]) => number, whose?: string): InputNumbers => {
		const known = new Map<ByteSource | string, ProcessInput>();
		for (const row of rows) {
			const input = { name: row.name, number: choose(row), lent: row.lent };
			known.set(row.key, input);
			// to whoever makes things for all, those of the first who has them
			if (whose === undefined && row.file !== undefined && !known.has(row.file)) known.set(row.file, input);
		}
		const at = (key: ByteSource | string, what: string): ProcessInput => known.get(key) ?? unknown(what);
		return {
			source: (source) => at(source, source.name),
			file: (path, use, by = "user") => at(keyOfInput(path, use, by, whose), `${path}, to ${use} by the ${by},`),
			made: (key) => at(key, key),
		};
	};
	const views = new Map<string | undefined, Inputs>();
	const ofUser = (whose: string | undefined): Inputs => {
		const view = views.get(whose) ?? {
			...all,
			...numbers(({ number }) => number, whose),
			inAgent: numbers(({ agent }) => agent, whose),
		};
		views.set(whose, view);
		return view;
	};
	const all: Inputs = {
		...numbers(({ number }) => number),
		ofUser,
		inAgent: numbers(({ agent }) => agent),
		firstMade: behind,
		behindAgent: behind + made.length,
		all: rows
			.filter(({ waits, stays }) => !waits && !stays)
			.map(({ name, number, agent }) => ({ name, number, agent })),
		placed: rows.filter(({ waits }) => waits).map(({ name, number, agent }) => ({ name, number, agent })),
	};
	return all;
}

/** `log` of `/tmp/log`. */
export const lastOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1) || path;

const unknown = (what: string): never => {
	throw new RangeError(`${what} is no input of the process`);
};
