import fc from "fast-check";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { Descriptor, Files } from "../../../src/forest/files.ts";
import { type Forest, forestOf } from "../../../src/forest/forest.ts";
import type { Backing, Memory, Task } from "../../../src/forest/task.ts";
import { anyMemory } from "./arbitrary-memory.ts";
import { anyProcess, freshNumbering, renumbered } from "./arbitrary-task.ts";
import { id, name, u32 } from "./arbitrary-values.ts";

/** Ids of one process's own things, apart from those of all others. */
const APART = 100_000;

/**
 * Any processes that images can hold without loss: strangers to one another, or children of the first that have some of its
 * memory, some of its descriptions, or its whole descriptor table.
 */
export const anyForest: fc.Arbitrary<Forest> = fc
	.uniqueArray(id, { minLength: 8, maxLength: 12 })
	.chain((ids) =>
		fc.record({
			root: process(ids.slice(0, 2)),
			others: fc.tuple(
				...[2, 4].map((at) =>
					fc.record({
						own: process(ids.slice(at, at + 2)),
						memory: fc.boolean(),
						files: fc.constantFrom("own", "some", "table"),
						kept: fc.nat(1023),
						parent: fc.nat(2),
					}),
				),
			),
			zombies: fc.tuple(
				...[6, 7].map((at) =>
					fc.record({ pid: fc.constant(ids[at] ?? 0), pgid: id, sid: id, comm: name, status: fc.nat(0xffff) }),
				),
			),
			count: fc.nat(2),
			table: u32,
			...{ fallen: fc.nat(2) },
		}),
	)
	.map(({ root, others, zombies, count, table, fallen }): Forest => {
		const numbering = freshNumbering();
		const sharers = others.slice(0, count);
		const tabled = sharers.some(({ files }) => files === "table");
		const first: Task = tabled ? { ...root, files: { ...root.files, table } } : root;
		const tasks = [first];
		for (const [i, { own, memory, files, kept, parent }] of sharers.entries()) {
			const apart = apartBy(own, (i + 1) * APART);
			const space = memory ? { ...root.memory, contents: root.memory.contents.slice(0, 1) } : apart.memory;
			const some = root.files.descriptors.filter((_, n) => ((kept >> n) & 1) === 1);
			const open: Pick<Files, "descriptors" | "table"> =
				files === "own"
					? { descriptors: apart.files.descriptors }
					: files === "some"
						? { descriptors: some }
						: { descriptors: root.files.descriptors, table };
			const ppid = tasks[parent % tasks.length]?.identity.pid ?? 0;
			tasks.push({
				...apart,
				identity: { ...apart.identity, ppid },
				memory: withWhatIsOpen(space, open.descriptors, [root, apart]),
				files: files === "own" ? apart.files : { ...unlocked(apart.files), ...open },
			});
		}
		return forestOf(
			identical(tasks.map((task) => renumbered(task, numbering))),
			zombies.slice(0, fallen).map((it) => ({ ...it, ppid: root.identity.pid })),
		);
	});

const process = (tids: readonly number[]): fc.Arbitrary<Task> => anyMemory.chain((space) => anyProcess(tids, space));

function unlocked({ locks: _locks, ...files }: Files): Files {
	return files;
}

/** Descriptors bring their objects and files without a name along. */
function withWhatIsOpen(memory: Memory, descriptors: readonly Descriptor[], from: readonly Task[]): Memory {
	const objects = new Map(memory.objects.map((it) => [it.id, it]));
	const ghosts = new Map((memory.ghosts ?? []).map((it) => [it.id, it]));
	for (const { description } of descriptors)
		for (const { memory: other } of from) {
			const object = other.objects.find((it) => description.kind === "memfd" && it.id === description.object);
			const ghost = other.ghosts?.find((it) => description.kind === "file" && it.id === description.ghost);
			if (object !== undefined) objects.set(object.id, object);
			if (ghost !== undefined) ghosts.set(ghost.id, ghost);
		}
	return { ...memory, objects: [...objects.values()], ghosts: [...ghosts.values()] };
}

/** The same process with other ids. */
function apartBy(task: Task, distance: number): Task {
	const { memory, files } = task;
	const backing = (it: Backing): Backing => {
		if (it.kind === "object") return { ...it, object: it.object + distance };
		return it.kind === "file" && it.ghost !== undefined ? { ...it, ghost: moved(it.ghost, distance) } : it;
	};
	const { executableGhost: lost } = memory;
	return {
		...task,
		memory: {
			...memory,
			mappings: memory.mappings.map((it) => ({ ...it, backing: backing(it.backing) })),
			objects: memory.objects.map((it) => ({ ...it, id: it.id + distance })),
			ghosts: (memory.ghosts ?? []).map((it) => ({ ...it, id: moved(it.id, distance) })),
			...(lost === undefined ? {} : { executableGhost: moved(lost, distance) }),
		},
		files: {
			...files,
			descriptors: files.descriptors.map((it) => ({ ...it, description: apart(it.description, distance) })),
		},
	};
}

function apart(it: Description, distance: number): Description {
	const common = { id: moved(it.id, distance) };
	if (it.kind === "pipe" || it.kind === "fifo")
		return { ...it, ...common, pipe: { ...it.pipe, id: it.pipe.id + distance } };
	if (it.kind === "memfd") return { ...it, ...common, object: it.object + distance };
	if (it.kind === "file" && it.ghost !== undefined) return { ...it, ...common, ghost: moved(it.ghost, distance) };
	return { ...it, ...common };
}

/** Ids are anything up to 2^31 - 1. */
const moved = (number: number, distance: number): number => (number ^ (distance << 10)) & 0x7fff_ffff || distance;

/** Equal things are the same value, whoever has them. */
function identical(tasks: readonly Task[]): Task[] {
	const values = new Map<string, object>();
	const same = <T extends object>(kind: string, number: number, value: T): T => {
		const key = `${kind} ${number}`;
		const known = values.get(key) ?? value;
		values.set(key, known);
		return known as T;
	};
	return tasks.map((task) => {
		const { memory, files } = task;
		const { ghosts } = memory;
		const descriptors = files.descriptors.map((it) => ({
			...it,
			description: same("description", it.description.id, it.description),
		}));
		return {
			...task,
			memory: {
				...memory,
				objects: memory.objects.map((it) => same("object", it.id, it)),
				...(ghosts === undefined ? {} : { ghosts: ghosts.map((it) => same("ghost", it.id, it)) }),
			},
			files: {
				...files,
				descriptors: files.table === undefined ? descriptors : same("table", files.table, descriptors),
			},
		};
	});
}
