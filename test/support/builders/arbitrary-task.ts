import fc from "fast-check";
import type { Descriptor } from "../../../src/forest/files.ts";
import type { Mapping, Memory, Task } from "../../../src/forest/task.ts";
import { ofProcess } from "./arbitrary-attributes.ts";
import { anyFiles } from "./arbitrary-files.ts";
import { anyMemory } from "./arbitrary-memory.ts";
import { anyThread, siginfos } from "./arbitrary-thread.ts";
import { id, name, nanoseconds, optional, place, said, u32, u64 } from "./arbitrary-values.ts";

const microseconds = fc.bigInt({ min: 0n, max: 1n << 80n });
const intervalTimer = fc.record({ remaining: microseconds, interval: microseconds });
const SIGNALS = Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19);

/** Ids of objects, as they are met: global where several processes are numbered by it. */
export interface Numbering {
	/** An object's new id, by the old one. */
	readonly objects: Map<number, number>;
	/** Files without a name. */
	readonly ghosts: Set<number>;
}

/** Only what something shows, numbered in the order in which that is read. */
export function renumbered(task: Task, { objects: order, ghosts: met }: Numbering = freshNumbering()): Task {
	const shown = new Set<number>();
	const see = (number: number): number => {
		const id = order.get(number) ?? order.size + 1;
		order.set(number, id);
		shown.add(id);
		return id;
	};
	const mappings = task.memory.mappings.map((it): Mapping => {
		const { backing } = it;
		return backing.kind === "object" ? { ...it, backing: { ...backing, object: see(backing.object) } } : it;
	});
	const descriptors = task.files.descriptors.map((it): Descriptor => {
		const { description: what } = it;
		return what.kind === "memfd" ? { ...it, description: { ...what, object: see(what.object) } } : it;
	});
	const objects = task.memory.objects
		.flatMap((it) => {
			const id = order.get(it.id) ?? 0;
			return shown.has(id) ? [{ ...it, id }] : [];
		})
		.sort((a, b) => a.id - b.id);
	const lost = [
		...mappings.map(({ backing }) => (backing.kind === "file" ? backing.ghost : undefined)),
		task.memory.executableGhost,
		...descriptors.map(({ description: what }) => (what.kind === "file" ? what.ghost : undefined)),
	];
	for (const id of lost) if (id !== undefined) met.add(id);
	const { ghosts: all = [], ...memory } = task.memory;
	const places = [...met];
	const ghosts = all.filter((it) => lost.includes(it.id)).sort((a, b) => places.indexOf(a.id) - places.indexOf(b.id));
	return {
		...task,
		memory: { ...memory, mappings, objects, ...(ghosts.length === 0 ? {} : { ghosts }) },
		files: { ...task.files, descriptors },
	};
}

export const freshNumbering = (): Numbering => ({ objects: new Map(), ghosts: new Set() });

/** The same before it is numbered. */
export const anyProcess = (tids: readonly number[], space: Memory): fc.Arbitrary<Task> =>
	fc
		.record({
			identity: fc
				.record({
					...{ pid: fc.constant(tids[0] ?? 1), ppid: fc.constant(0), pgid: id, sid: id, comm: name },
					oomScoreAdjust: optional(fc.integer({ min: -1000, max: 1000 })),
					childSubreaper: optional(fc.boolean()),
				})
				.map(said),
			threads: fc.tuple(...tids.map(anyThread)),
			memory: fc.constant(space),
			signalActions: fc
				.array(fc.record({ handler: place, flags: u64, restorer: place, mask: u64 }), {
					...{ minLength: SIGNALS.length, maxLength: SIGNALS.length },
				})
				.map((actions) => actions.map((action, i) => ({ signal: SIGNALS[i] ?? 0, ...action }))),
			intervalTimers: fc.record({ real: intervalTimer, virtual: intervalTimer, profiling: intervalTimer }),
			posixTimers: fc
				.uniqueArray(
					fc.record({
						// clocks of processor time are negative
						...{ id: u32, clock: fc.integer(), signal: u32, notify: u32, value: u64, overrun: u32 },
						...{ remaining: nanoseconds, interval: nanoseconds, thread: optional(fc.integer({ min: -1 })) },
					}),
					{ maxLength: 3, selector: (timer) => timer.id },
				)
				.map((timers) => timers.map(said)),
			limits: fc.array(fc.record({ soft: u64, hard: u64 }), { minLength: 16, maxLength: 16 }),
			pending: siginfos,
			files: anyFiles(space),
			stopped: fc.boolean(),
			attributes: ofProcess,
			losses: optional(
				fc.array(fc.record({ subject: fc.string(), text: fc.string() }), { minLength: 1, maxLength: 3 }),
			),
		})
		.map((task) => said(task) as Task);

/** Any process that images can hold without loss. What they cannot has tests of its own. */
export const anyTask: fc.Arbitrary<Task> = fc
	.tuple(fc.uniqueArray(id, { minLength: 1, maxLength: 4 }), anyMemory)
	.chain(([tids, space]) => anyProcess(tids, space))
	.map((task) => renumbered(task));
