import fc from "fast-check";
import { expect, test } from "vitest";
import { fileOffset } from "../../src/bytes/address.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import type { InotifyWatch } from "../../src/descriptors/inotify.ts";
import type { Description } from "../../src/descriptors/kinds.ts";
import type { Pipe } from "../../src/descriptors/pipe-queue.ts";
import type { Descriptor, Files } from "../../src/forest/files.ts";
import type { FileLock } from "../../src/forest/locks.ts";
import type { Task } from "../../src/forest/task.ts";
import type { FilePolicy } from "../../src/plan/files/files.ts";
import { movesOf } from "../../src/plan/files/place-inputs.ts";
import { carriedOut } from "../support/builders/carried-out.ts";
import type { ModelDescription, ModelFile } from "../support/models/model-files.ts";

// Whatever a process had open, under whatever numbers: carried out by a kernel, the plan ends with exactly that.

const [APPEND, NONBLOCK, LARGEFILE] = [0x400, 0x800, 0x8000];
const PID = 4711;
const FIRST_WORK_FD = 128;

const stored = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));
const source = fromBuffer("pipes-data.img", stored);
const files = new Map<string, ModelFile>([
	["pipes-data.img", stored],
	["/dev/null", "device"],
	["/log", Buffer.alloc(10)],
	["/data", Buffer.alloc(10)],
	["/fifo/1", "fifo"],
	["/fifo/2", "fifo"],
]);

const flagsOf = (access: fc.Arbitrary<number>, ...more: number[]): fc.Arbitrary<number> =>
	fc.tuple(access, fc.subarray(more)).map(([mode, rest]) => rest.reduce((all, bit) => all | bit, mode));
const anyAccess = fc.constantFrom(0, 1, 2);
const content = fc.option(
	fc
		.record({
			source: fc.constant(source),
			offset: fc.nat(100_000).map(fileOffset),
			length: fc.integer({ min: 1, max: 200_000 }).map(BigInt),
		})
		.map((queue) => ({ ...queue, available: queue.length })),
	{ nil: undefined },
);
const pipeOf = (id: number): fc.Arbitrary<Pipe> =>
	content.map((held) => ({ id, ...(held === undefined ? {} : { content: held, capacity: 262_144 }) }));
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 2n });

const owner = fc.option(
	fc.record({ type: fc.constantFrom(0, 1, 2), pid: fc.constantFrom(0, PID, PID + 1, 99), signal: fc.nat(64) }),
	{ nil: undefined },
);

/** Odd numbers watch a file, even ones what nobody has found. */
const watching = (number: number): InotifyWatch => ({
	...{ number, mask: number << 8, inode: 7n, device: 1, handle: { type: 1, bytes: Buffer.of() } },
	...(number % 2 === 0 ? {} : { path: number < 5 ? "/log" : "/data" }),
});

/** Bodies of descriptions that share the given pipes. */
const bodies = (pipes: readonly Pipe[], fifos: readonly Pipe[]): fc.Arbitrary<object> =>
	fc.oneof(
		fc.record({
			kind: fc.constant("file"),
			path: fc.constantFrom("/log", "/data"),
			flags: flagsOf(anyAccess, APPEND, NONBLOCK, LARGEFILE),
			position: fc.oneof(fc.constant(0n), fc.bigInt({ min: 1n, max: 2n ** 40n })),
			unlinked: fc.constant(false),
			mode: fc.constant(0o100644),
		}),
		fc.record({
			kind: fc.constant("file"),
			path: fc.constant("/dev/null"),
			flags: flagsOf(anyAccess),
			position: fc.constantFrom(0n, 5n),
			unlinked: fc.constant(false),
			mode: fc.constant(0o020666),
		}),
		fc.record({
			kind: fc.constant("pipe"),
			pipe: fc.constantFrom(...pipes),
			flags: flagsOf(fc.constantFrom(0, 0, 0, 1, 1, 1, 2), NONBLOCK),
		}),
		fc.constantFrom(...fifos).chain((pipe) =>
			fc.record({
				kind: fc.constant("fifo"),
				pipe: fc.constant(pipe),
				file: fc.constant({ path: `/fifo/${pipe.id}` }),
				// the second has lost its name
				unlinked: fc.constant(pipe.id === 2),
				flags: flagsOf(anyAccess, NONBLOCK),
			}),
		),
		fc.record({ kind: fc.constant("eventfd"), counter: u64, flags: flagsOf(fc.constant(2), NONBLOCK) }),
		fc.record({ kind: fc.constant("epoll"), flags: fc.constant(2), targets: fc.constant([]) }),
		fc.record({ kind: fc.constant("signalfd"), mask: u64, flags: flagsOf(fc.constant(2), NONBLOCK) }),
		fc.record({
			kind: fc.constant("timerfd"),
			clock: fc.constantFrom(0, 1),
			ticks: fc.constantFrom(0n, 3n),
			settings: fc.constantFrom(0, 1),
			remaining: fc.bigInt({ min: 0n, max: 2n ** 60n }),
			interval: fc.bigInt({ min: 0n, max: 2n ** 60n }),
			flags: flagsOf(fc.constant(2), NONBLOCK),
		}),
		fc.record({
			kind: fc.constant("inotify"),
			flags: flagsOf(fc.constant(0), NONBLOCK),
			watches: fc
				.uniqueArray(fc.nat(9), { maxLength: 3 })
				.map((numbers) => numbers.map((i) => watching(i + 1)).sort((a, b) => a.number - b.number)),
		}),
		fc.record({
			kind: fc.constant("inet-socket"),
			...{ inode: fc.constant(9), family: fc.constant(2), type: fc.constant(1), protocol: fc.constant(6) },
			state: fc.constant(7),
			source: fc.constant({ port: 0, address: Uint8Array.of(0, 0, 0, 0) }),
			target: fc.constant({ port: 0, address: Uint8Array.of(0, 0, 0, 0) }),
			backlog: fc.constant(0),
			options: fc.record({ "reuse address": fc.constantFrom(0, 1), "no delay": fc.constantFrom(0, 1) }),
			timeouts: fc.constant({ send: 0n, receive: 0n }),
			flags: flagsOf(fc.constant(2), NONBLOCK),
		}),
		fc.record({
			kind: fc.constantFrom("bpf-map", "netlink-socket", "memfd"),
			flags: flagsOf(anyAccess),
			name: fc.constant("m"),
		}),
	);

interface Scene {
	readonly files: Files;
	readonly policy: FilePolicy;
}

const scene: fc.Arbitrary<Scene> = fc
	.tuple(fc.tuple(pipeOf(1), pipeOf(2), pipeOf(3)), fc.tuple(pipeOf(1), pipeOf(2)))
	.chain(([pipes, fifos]) =>
		fc.tuple(
			fc.array(fc.tuple(bodies(pipes, fifos), owner), { minLength: 1, maxLength: 12 }),
			fc.uniqueArray(fc.oneof({ weight: 4, arbitrary: fc.nat(14) }, { weight: 1, arbitrary: fc.nat(100) }), {
				maxLength: 20,
			}),
		),
	)
	.chain(([made, numbers]) => {
		const descriptions = made.map(([body, who], id) => {
			const description = { id, ...body } as Description;
			return who === undefined || description.kind === "memfd" ? description : { ...description, owner: who };
		});
		const descriptors = fc.tuple(
			...numbers.map((number) =>
				fc.record({
					number: fc.constant(number),
					closeOnExec: fc.boolean(),
					description: fc.constantFrom(...descriptions),
				}),
			),
		);
		return fc.record({
			descriptors,
			locked: fc.array(fc.tuple(fc.nat(20), fc.constantFrom("posix", "flock", "ofd", "lease"), fc.nat(9), fc.nat(9)), {
				maxLength: 4,
			}),
			watched: fc.array(fc.tuple(fc.nat(20), fc.nat(), u64, fc.option(fc.nat(25), { nil: undefined })), {
				maxLength: 6,
			}),
			fds: fc.uniqueArray(fc.tuple(fc.nat(20), fc.constantFrom("/log", "/data")), {
				maxLength: 2,
				selector: ([n]) => n,
			}),
		});
	})
	.map(({ descriptors, watched, locked, fds }) => {
		const all = watched.map(([at, events, data, number = at]) => ({
			...{ number, ...(number === at ? {} : { at }), events, data },
		}));
		// the kernel tells them apart by file and number: of two by one number, the files are two
		const targets = all.filter(
			(one) => !all.some((it) => it !== one && it.number === one.number && (it.at ?? one.at) !== undefined),
		);
		const known = new Map(descriptors.map(({ description }) => [description.id, description]));
		const watching = new Map(
			[...known].map(([id, it]): [number, Description] => [id, it.kind === "epoll" ? { ...it, targets } : it]),
		);
		return {
			files: {
				descriptors: descriptors
					.map((it: Descriptor) => ({ ...it, description: watching.get(it.description.id) ?? it.description }))
					.sort((a, b) => a.number - b.number),
				locks: locked.flatMap(([number, kind, start, length]): FileLock[] =>
					descriptors.some((it) => it.number === number && it.description.kind !== "memfd")
						? [
								{
									kind,
									descriptor: number,
									type: start % 2 === 0 ? "read" : "write",
									start: BigInt(start),
									length: BigInt(length),
								},
							]
						: [],
				),
				cwd: "/home",
				root: "/",
				umask: 0o27,
			},
			policy: { fds: new Map(fds), missing: "null" as const },
		};
	});

const taskWith = (those: Files): Task =>
	({
		identity: { pid: PID, pgid: PID },
		threads: [{ tid: PID }, { tid: PID + 1 }],
		memory: { mappings: [], contents: [], objects: [], executable: "" },
		files: those,
	}) as unknown as Task;

/** What a number must refer to, by the kinds of the model; links between descriptions aside. */
function expected({ description }: Descriptor, substitute: string | undefined): Partial<ModelDescription> {
	const { kind, flags } = description;
	const path = substitute ?? ("name" in description || kind === "bpf-map" ? "/dev/null" : undefined);
	if (substitute !== undefined || !openable(description))
		return { kind: "file", path: path ?? "/dev/null", flags: flags & (3 | APPEND | NONBLOCK), position: 0n };
	const common = {
		flags,
		...(description.owner === undefined ? {} : ownerOf(description.owner)),
	};
	switch (description.kind) {
		case "file": {
			const position = description.path === "/dev/null" ? 0n : description.position;
			return { ...common, kind: "file", path: description.path, position };
		}
		case "fifo":
			return { ...common, kind: "pipe", ...(description.unlinked === true ? {} : { path: description.file.path }) };
		case "eventfd":
			return { ...common, kind: "eventfd", counter: description.counter };
		case "signalfd":
			return { ...common, kind: "signalfd", mask: description.mask };
		case "inet-socket": {
			const { "reuse address": reused = 0, "no delay": prompt = 0 } = description.options;
			const options = new Map([
				...(reused === 0 ? [] : [["1 2", "01000000"]]),
				...(prompt === 0 ? [] : [["6 1", "01000000"]]),
			] as [string, string][]);
			return { ...common, kind: "socket", socket: { made: [2, 1, 6], options } };
		}
		case "timerfd": {
			const { clock, ticks, remaining, interval } = description;
			return { ...common, kind: "timerfd", clock, counter: ticks, value: remaining, interval };
		}
		case "inotify": {
			const found = description.watches.flatMap(({ number, mask, path }) =>
				path === undefined ? [] : [[number, { mask, path }] as const],
			);
			return { ...common, kind: "inotify", watches: new Map(found) };
		}
		default:
			return { ...common, kind: description.kind === "pipe" ? "pipe" : "epoll" };
	}
}

const ownerOf = ({ type, pid, signal }: { type: number; pid: number; signal: number }): object => ({
	...(pid === 0 ? {} : { owner: { type, pid } }),
	...(signal === 0 ? {} : { signal }),
});

/** As the model notes it. */
const lockOf = ({ kind, type, start, length }: FileLock): string => {
	const number = type === "read" ? 0 : 1;
	if (kind === "lease") return `lease ${number}`;
	return kind === "flock" ? `flock ${number + 1}` : `${kind} ${number} ${start} ${length}`;
};

const openable = ({ kind }: Description): boolean => !["bpf-map", "netlink-socket", "memfd"].includes(kind);

/** Which numbers belong together, as lists. */
const groups = <T>(items: readonly (readonly [number, T])[]): number[][] => {
	const found = new Map<T, number[]>();
	for (const [number, key] of items) found.set(key, [...(found.get(key) ?? []), number]);
	return [...found.values()];
};

test.each([false, true])(
	"a plan ends with the descriptors of the process, and with nothing else (crowded: %s)",
	(crowded) => {
		fc.assert(
			fc.property(scene, (it) => {
				const { fds } = it.policy;
				// memfds come with the memory that they show: here their numbers stay free
				const descriptors = it.files.descriptors.filter(
					({ number, description }) => description.kind !== "memfd" || fds.has(number),
				);
				const { kernel, left } = carriedOut(taskWith(it.files), it.policy, files, FIRST_WORK_FD, crowded);
				const { table, cwd, umask } = kernel;
				expect(left).toEqual([]);
				const added = [...fds].filter(([number]) => !it.files.descriptors.some((had) => had.number === number));
				const numbers = [...descriptors.map(({ number }) => number), ...added.map(([number]) => number), FIRST_WORK_FD];
				expect([...table.keys()].sort((a, b) => a - b)).toEqual(numbers.sort((a, b) => a - b));
				expect([cwd, umask]).toEqual(["/home", 0o27]);
				for (const [number, path] of added)
					expect(table.get(number)).toMatchObject({
						closeOnExec: false,
						description: { kind: "file", path, flags: 2 },
					});
				for (const descriptor of descriptors) {
					const entry = table.get(descriptor.number);
					expect(entry?.closeOnExec).toBe(descriptor.closeOnExec);
					expect(entry?.description).toMatchObject(expected(descriptor, fds.get(descriptor.number)));
				}
				// one description where there was one, and no more than that
				expect(groups(descriptors.map(({ number }) => [number, table.get(number)?.description]))).toEqual(
					groups(
						descriptors.map(({ number, description }) => [
							number,
							`${description.id} ${fds.get(number) ?? "as it was"}`,
						]),
					),
				);
				const ends = descriptors.filter(({ number }) => !fds.has(number));
				expect(
					groups(ends.flatMap(({ number }) => table.get(number)?.description.pipe ?? []).map((pipe, i) => [i, pipe])),
				).toEqual(
					groups(
						ends
							.flatMap(({ description: { kind, ...rest } }) => ("pipe" in rest ? `${kind} ${rest.pipe.id}` : []))
							.map((id, i) => [i, id]),
					),
				);
				for (const { number, description } of ends) {
					if (description.kind !== "pipe" && description.kind !== "fifo") continue;
					const held = description.pipe.content;
					const bytes =
						held === undefined ? Buffer.of() : stored.subarray(Number(held.offset), Number(held.offset + held.length));
					expect(table.get(number)?.description.pipe?.content.equals(bytes)).toBe(true);
				}
				const kept = new Map(
					ends.flatMap(({ number, description }) => (openable(description) ? [[number, true]] : [])),
				);
				for (const [number, { description }] of table) {
					const same = new Set([...table].flatMap(([n, it]) => (it.description === description ? [n] : [])));
					const locks = (it.files.locks ?? []).filter((lock) => same.has(lock.descriptor) && kept.has(lock.descriptor));
					if (kept.has(number)) expect([...(description.locks ?? [])].sort()).toEqual(locks.map(lockOf).sort());
				}
				for (const { number, description } of ends) {
					if (description.kind !== "epoll") continue;
					const targets = table.get(number)?.description.targets;
					for (const { number: key, at = key, events, data } of description.targets) {
						const watched = table.get(at)?.description;
						const same = description.targets.filter((other) => other.number === key);
						// what was added by one number more than once is not told apart here
						if (same.length > 1) continue;
						if (watched === undefined || watched.kind === "file") expect(targets?.has(key)).toBe(false);
						else expect(targets?.get(key)).toEqual({ description: watched, events, data });
					}
				}
			}),
			{ numRuns: 400 },
		);
	},
);

test("moves lose nothing, whatever is where", () => {
	const numbers = fc.uniqueArray(fc.nat(30), { maxLength: 20 });
	fc.assert(
		fc.property(numbers, numbers, (from, to) => {
			const inputs = from.slice(0, to.length).map((agent, i) => ({ name: `${i}`, agent, number: to[i] ?? 0 }));
			const table = new Map(inputs.map(({ agent, name }) => [agent, name]));
			const moves = movesOf(inputs, 99);
			for (const { name, from, to } of moves) {
				expect(table.get(from)).toBe(name);
				table.set(to, name);
			}
			for (const { name, number } of inputs) expect(table.get(number)).toBe(name);
			expect(moves.length).toBeLessThanOrEqual(2 * inputs.length);
		}),
	);
});
