import { type Description, kindOf, pipeOf } from "../descriptors/kinds.ts";
import type { Pipe } from "../descriptors/pipe-queue.ts";
import type { Terminal } from "../descriptors/terminal.ts";
import type { Descriptor } from "./files.ts";
import type { GhostFile, Identity, SharedObject, Task } from "./task.ts";

/**
 * Processes and what they share, as data. One process is a forest of one ({@link forestOf}).
 *
 * A task holds all that it shows, shared or not, so that whoever deals with one process (a core, a donor, a debugger) has it
 * whole. What makes a forest of tasks is that ids are global: descriptions, pipes, ends of pairs, memory, files without a name and
 * descriptor tables with one id are one thing, and the tasks hold the very same value of it. `shared` is that, the other way
 * round: each thing once, and who has it.
 */
export interface Forest {
	/** Parents before children; the first is the root. */
	readonly processes: readonly Task[];
	/** Children that have ended and that nobody has waited for. */
	readonly zombies: readonly Zombie[];
	readonly shared: SharedThings;
}

/** A process of which nothing is left but how it ended. */
export interface Zombie extends Pick<Identity, "pid" | "ppid" | "pgid" | "sid" | "comm"> {
	/** As wait(2) gives it: 256 times what it returned, or the signal that ended it. */
	readonly status: number;
}

/** A thing and the processes that have it, by id, in the order of the forest. */
export interface Held<T> {
	readonly thing: T;
	readonly by: readonly number[];
}

/** By id. Also what one process has alone. */
export interface SharedThings {
	readonly descriptions: ReadonlyMap<number, Held<Description>>;
	readonly pipes: ReadonlyMap<number, Held<Pipe>>;
	/** Named pipes: their ids are not those of pipes. */
	readonly fifos: ReadonlyMap<number, Held<Pipe>>;
	/** Pairs of sockets, and who has an end. */
	readonly pairs: ReadonlyMap<number, Held<number>>;
	readonly objects: ReadonlyMap<number, Held<SharedObject>>;
	readonly ghosts: ReadonlyMap<number, Held<GhostFile>>;
	/** By the numbers of their devices. */
	readonly terminals: ReadonlyMap<number, Held<Terminal>>;
	/** Descriptor tables that were made with CLONE_FILES. */
	readonly tables: ReadonlyMap<number, Held<readonly Descriptor[]>>;
}

/** Whether several processes have it. */
export const isShared = ({ by }: Held<unknown>): boolean => by.length > 1;

/**
 * @param processes Parents before children.
 * @throws RangeError where processes give one id to two things: a bug of whoever made them.
 */
export function forestOf(processes: readonly Task[], zombies: readonly Zombie[] = []): Forest {
	const [descriptions, pipes, fifos, pairs, objects, ghosts, terminals, tables] = [
		census<Description>("description"),
		census<Pipe>("pipe"),
		census<Pipe>("FIFO"),
		census<number>("pair of sockets"),
		census<SharedObject>("shared object"),
		census<GhostFile>("file without a name"),
		census<Terminal>("terminal"),
		census<readonly Descriptor[]>("descriptor table"),
	];
	for (const { identity, memory, files } of processes) {
		const { pid } = identity;
		for (const object of memory.objects) objects.count(object.id, object, pid);
		for (const ghost of memory.ghosts ?? []) ghosts.count(ghost.id, ghost, pid);
		if (files.table !== undefined) tables.count(files.table, files.descriptors, pid);
		for (const { description } of files.descriptors) {
			descriptions.count(description.id, description, pid);
			const common = kindOf(description).shares?.(description);
			const pipe = pipeOf(description);
			if (pipe !== undefined) (common?.of === "fifos" ? fifos : pipes).count(pipe.id, pipe, pid);
			if (common?.of === "pairs") pairs.count(common.id, common.id, pid);
			if (description.kind === "tty") terminals.count(description.terminal.id, description.terminal, pid);
		}
	}
	return {
		...{ processes, zombies },
		shared: {
			...{ descriptions: descriptions.held, pipes: pipes.held, fifos: fifos.held, pairs: pairs.held },
			...{ objects: objects.held, ghosts: ghosts.held, terminals: terminals.held, tables: tables.held },
		},
	};
}

/** The same processes, each changed: whatever they share is to be changed alike. */
export const mapForest = ({ processes, zombies }: Forest, change: (task: Task) => Task): Forest =>
	forestOf(processes.map(change), zombies);

function census<T>(what: string) {
	const held = new Map<number, { readonly thing: T; readonly by: number[] }>();
	const count = (id: number, thing: T, pid: number): void => {
		const known = held.get(id);
		if (known === undefined) held.set(id, { thing, by: [pid] });
		else if (!isSame(known.thing, thing))
			throw new RangeError(`${what} ${id} is one thing to process ${known.by[0]} and another to ${pid}`);
		else if (known.by.at(-1) !== pid) known.by.push(pid);
	};
	return { held, count };
}

/** A thing, and what it is made of, such as the place of its bytes in a source: sources are compared as they are. */
const DEEP = 2;

/** The very same, or made of the very same: both ends of a pipe may say what waits in it. */
function isSame(one: unknown, other: unknown, deep = DEEP): boolean {
	if (one === other) return true;
	if (deep === 0 || typeof one !== "object" || typeof other !== "object" || one === null || other === null)
		return false;
	const [a, b] = [Object.entries(one), new Map(Object.entries(other))];
	return a.length === b.size && a.every(([name, value]) => b.has(name) && isSame(value, b.get(name), deep - 1));
}
