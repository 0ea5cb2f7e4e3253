import fc from "fast-check";
import { fileOffset } from "../../../src/bytes/address.ts";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { Descriptor } from "../../../src/forest/files.ts";
import { type Forest, forestOf } from "../../../src/forest/forest.ts";
import type { Mapping, SharedObject, Task } from "../../../src/forest/task.ts";
import { withThingsShown } from "../../../src/forest/things-shown.ts";
import { present } from "../present.ts";
import { BOUNDS, USER } from "./several.ts";
import { lettered, map, smallTask, smallThread } from "./small-task.ts";

/* Small processes of all kinds of kin, with things in common. */

const P = 4096n;
const PRIVATE = 0x10_0000n;
const SHARED = 0x20_0000n;

/** What its pages hold, the first that of object 1. The last two are memfds, of which one is sealed against writing. */
const LETTERS = ["pq", "xyz", "rstu", "vwijk"];
const SEALED = 3;

const OBJECTS: readonly SharedObject[] = LETTERS.map((letters, i) => ({
	id: i + 1,
	...(i < 2 ? {} : { name: "zone", memfdFlags: 2, mode: 0o640, uid: 3, gid: 4, seals: i + 1 === SEALED ? 0xa : 0 }),
	size: BigInt(letters.length) * P,
	contents: [{ ...lettered(0n, letters), start: fileOffset(0) }],
}));

const DESCRIPTIONS: readonly Description[] = [
	...[0, 1].map((flags): Description => ({ kind: "pipe", id: 10 + flags, flags, pipe: { id: 1 } })),
	...[0, 1].map((flags): Description => ({ kind: "pipe", id: 20 + flags, flags, pipe: { id: 2, capacity: 4096 } })),
	...[30, 31].map((id): Description => ({ kind: "socket-pair", id, flags: 2, pair: 1 })),
	{ kind: "eventfd", id: 40, flags: 2, counter: 3n },
	{ kind: "timerfd", id: 41, flags: 2, clock: 1, ticks: 0n, settings: 0, remaining: 5n, interval: 0n },
	{ kind: "signalfd", id: 42, flags: 2, mask: 5n },
	{ kind: "epoll", id: 43, flags: 2, targets: [] },
	...[3, 4].flatMap((object) =>
		[2, 0, 2].map(
			(flags, i): Description => ({
				kind: "memfd",
				id: 10 * object + 30 + i,
				flags,
				name: "zone",
				object,
				position: 0n,
			}),
		),
	),
	...[50, 51].map(
		(id): Description => ({ kind: "file", id, flags: 0, path: "/tmp/log", position: 7n, unlinked: false }),
	),
];

interface Seed {
	readonly parent: number;
	readonly leadsSession: boolean;
	readonly early: boolean;
	readonly group: number;
	readonly leadsGroup: boolean;
	/** It has its parent's descriptor table. */
	readonly borrows: boolean;
	readonly threads: number;
	readonly open: readonly number[];
	readonly maps: readonly (readonly [object: number, page: number])[];
	/** Private memory: how many pages each piece has, and the letters in them; a dot is a page that was never written. */
	readonly private: readonly (readonly [pages: number, letters: string])[];
}

const seed: fc.Arbitrary<Seed> = fc.record({
	...{ parent: fc.nat(4), leadsSession: fc.boolean(), early: fc.boolean(), group: fc.nat(4), leadsGroup: fc.boolean() },
	...{ threads: fc.constantFrom(1, 1, 2), borrows: fc.constantFrom(false, false, true) },
	open: fc.array(fc.oneof(fc.nat(DESCRIPTIONS.length - 1), fc.constant(-1)), { maxLength: 8 }),
	maps: fc.array(fc.tuple(fc.nat(LETTERS.length - 1), fc.nat(1)), { maxLength: 3 }),
	private: fc.array(fc.tuple(fc.nat(4), fc.stringMatching(/^[.ab]{4}$/)), { minLength: 2, maxLength: 2 }),
});

/** @param parents of the second process and those after it, where they are not by chance. */
const forestOfSeeds = (count: { readonly minLength: number }, parents?: readonly number[]): fc.Arbitrary<Forest> =>
	fc
		.record({
			seeds: fc.array(seed, { ...count, maxLength: 5 }),
			pids: fc.uniqueArray(fc.integer({ min: 2, max: 400 }), { minLength: 10, maxLength: 10 }),
			foreign: fc.boolean(),
		})
		.map(({ seeds: drawn, pids, foreign }) => {
			const seeds = drawn.map((it, i) => ({ ...it, parent: parents?.[i - 1] ?? it.parent }));
			const born: number[] = [];
			const kin: Omit<Task["identity"], "comm" | "pgid">[] = [];
			for (const [i, it] of seeds.entries()) {
				const pid = pids[i] ?? 0;
				const above = it.parent % Math.max(1, i);
				const parent = kin[above];
				const early = it.early && above > 0 && parent !== undefined && parent.sid === parent.pid;
				const inherited = early ? (born[above] ?? 0) : (parent?.sid ?? 0);
				born.push(inherited);
				const sid = parent === undefined ? (foreign ? 1 : pid) : it.leadsSession ? pid : inherited;
				kin.push({ pid, ppid: parent?.pid ?? 0, sid });
			}
			const leads = seeds.map((it, i) => it.leadsGroup || kin[i]?.sid === kin[i]?.pid);
			const tasks = kin.map(({ pid, ppid, sid }, i) => {
				const it = present(seeds[i]);
				// any in its session, also of who comes after it
				const groups = kin.filter((other, n) => other.sid === sid && leads[n] === true).map((other) => other.pid);
				const joined = groups[it.group % Math.max(1, groups.length)] ?? sid;
				const pgid = leads[i] === true && (i > 0 || !foreign) ? pid : i === 0 && foreign ? 1 : joined;
				return withThings(it, { pid, ppid, sid, pgid, comm: "small" }, pids[5 + i] ?? 0);
			});
			return forestOf(withTables(tasks, seeds));
		});

/** One to five processes. */
export const smallForest: fc.Arbitrary<Forest> = forestOfSeeds({ minLength: 1 });

/** Five of three generations. */
export const oldForest: fc.Arbitrary<Forest> = forestOfSeeds({ minLength: 5 }, [0, 1, 1, 0]);

function withTables(tasks: readonly Task[], seeds: readonly Seed[]): readonly Task[] {
	const files = new Map<number, Task["files"]>();
	for (const [i, task] of tasks.entries()) {
		const { pid, ppid } = task.identity;
		const lent = i > 0 && seeds[i]?.borrows === true ? files.get(ppid) : undefined;
		if (lent === undefined) files.set(pid, task.files);
		else {
			const table = lent.table ?? ppid;
			files.set(ppid, { ...lent, table });
			files.set(pid, { ...lent, table });
		}
	}
	return tasks.map((task) =>
		withThingsShown({ ...task, files: files.get(task.identity.pid) ?? task.files }, { objects: OBJECTS, ghosts: [] }),
	);
}

/** Of whatever a process has privately at the same places as others: its own letters, or theirs. */
const privateOf = (pieces: Seed["private"]): Pick<Task["memory"], "mappings" | "contents"> => ({
	mappings: pieces.flatMap(([pages], i) =>
		pages === 0 ? [] : [map(PRIVATE + BigInt(16 * (i + 1)) * P, pages, { kind: "anonymous" })],
	),
	contents: pieces.flatMap(([pages, letters], i) =>
		[...letters.slice(0, pages)].flatMap((letter, page) =>
			letter === "." ? [] : [lettered(PRIVATE + BigInt(16 * (i + 1) + page) * P, letter)],
		),
	),
});

function withThings({ threads, open, maps, private: pieces }: Seed, identity: Task["identity"], second: number): Task {
	const { pid } = identity;
	const own = privateOf(pieces);
	const chosen = maps.filter(([object], i) => maps.findIndex(([other]) => other === object) === i);
	const mappings = chosen.map(
		([object, page], i): Mapping =>
			map(
				SHARED + BigInt(i * 16) * P,
				2 - page + object,
				{ kind: "object", object: object + 1, offset: fileOffset(page * 4096) },
				{ shared: true, prot: object + 1 === SEALED ? 1 : 3 },
			),
	);
	const descriptors = open.flatMap((index, number): Descriptor[] => {
		const description = index < 0 ? alone(pid, number) : DESCRIPTIONS[index];
		return description === undefined
			? []
			: [{ number: 2 * number + (pid & 1), closeOnExec: number % 2 === 1, description }];
	});
	return {
		...smallTask({
			threads: [pid, second].slice(0, threads).map((tid) => smallThread({ tid, registers: USER })),
			memory: {
				mappings: [map(PRIVATE, 1, { kind: "anonymous" }), ...own.mappings, ...mappings],
				contents: [lettered(PRIVATE, String.fromCharCode(97 + (pid % 26))), ...own.contents],
				bounds: BOUNDS,
			},
			files: { descriptors },
		}),
		identity,
	};
}

/** What nobody else has. */
const alone = (pid: number, number: number): Description => ({
	...{ kind: "eventfd", id: 1000 + pid * 100 + number, flags: 2, counter: 1n },
});

/** What a page of shared memory holds. */
export const letterOf = (object: number, page: bigint): string => LETTERS[object - 1]?.[Number(page)] ?? "";
