import fc from "fast-check";
import { address, fileOffset } from "../../src/bytes/address.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import type { UserRegs } from "../../src/linux/registers.ts";
import type { Xstate } from "../../src/linux/xstate.ts";
import type { Description, Descriptor, Files, Pipe } from "../../src/task/files.ts";
import type { Backing, Content, Mapping, Memory, SharedObject, Task, Thread } from "../../src/task/task.ts";

/* Any process that images can hold without loss. What they cannot has tests of its own. */

const PAGE = 4096;
const bits = (count: bigint): fc.Arbitrary<bigint> =>
	fc.oneof(
		fc.constantFrom(0n, 1n, (1n << count) - 1n, 1n << (count - 1n)),
		fc.bigInt({ min: 0n, max: (1n << count) - 1n }),
	);
const u64 = bits(64n);
const u32 = bits(32n).map(Number);
const place = u64.map(address);
const id = fc.integer({ min: 1, max: 0x7fff_ffff });
/** As it stands for bytes: text that is no Unicode comes from files with such names. */
const name = fc.stringMatching(/^[ -~é€😀]{1,4}$/u);
const path = name.map((it) => `/${it}`);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

type Said<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
	[K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** The keys whose values are there. */
const said = <T extends object>(object: T): Said<T> =>
	Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Said<T>;

const REGISTERS =
	"r15 r14 r13 r12 bp bx r11 r10 r9 r8 ax cx dx si di orig_ax ip cs flags sp ss fs_base gs_base ds es fs gs".split(" ");
const registers = fc
	.array(u64, { minLength: REGISTERS.length, maxLength: REGISTERS.length })
	.map((values) => Object.fromEntries(REGISTERS.map((register, i) => [register, values[i]])) as unknown as UserRegs);

/** Bytes of each component that images know. */
const COMPONENTS = [
	[2, 256],
	[3, 64],
	[4, 64],
	[5, 64],
	[6, 512],
	[7, 1024],
	[9, 8],
] as const;
const words = (count: number): fc.Arbitrary<number[]> => fc.array(u32, { minLength: count, maxLength: count });
const xstate: fc.Arbitrary<Xstate> = fc
	.record({
		fx: fc.record({
			...{ cwd: u32, swd: u32, twd: u32, fop: u32, rip: u64, rdp: u64, mxcsr: u32, mxcsr_mask: u32 },
			...{ st_space: words(32), xmm_space: words(64), padding: fc.constant(new Array<number>(24).fill(0)) },
		}),
		known: fc.subarray([...COMPONENTS]),
		used: fc.subarray([0, 1, ...COMPONENTS.map(([component]) => component)]),
		fill: fc.uint8Array({ minLength: 8, maxLength: 8 }),
	})
	.map(({ fx, known, used, fill }) => ({
		fx,
		xcr0: known.reduce((mask, [component]) => mask | (1n << BigInt(component)), 3n),
		xstateBv: used.reduce((mask, component) => mask | (1n << BigInt(component)), 0n),
		components: new Map(
			known.map(([component, size]) => [
				component,
				Buffer.from(Array.from({ length: size }, (_, i) => (fill[i % 8] ?? 0) + (i >> 3))),
			]),
		),
	}));

const siginfos = fc.array(fc.uint8Array({ minLength: 128, maxLength: 128 }), { maxLength: 2 });
const credentials = fc.record({
	...{ uid: u32, gid: u32, euid: u32, egid: u32, suid: u32, sgid: u32, fsuid: u32, fsgid: u32, securebits: u32 },
	...{ inheritable: u64, permitted: u64, effective: u64, bounding: u64, ambient: u64 },
	...{ groups: fc.array(u32, { maxLength: 4 }), noNewPrivileges: fc.boolean() },
});

const thread = (tid: number): fc.Arbitrary<Thread> =>
	fc
		.record({
			...{ tid: fc.constant(tid), name, registers, xstate, blocked: u64, pending: siginfos, credentials },
			alternateStack: optional(fc.record({ base: place, size: u64, flags: fc.constantFrom(0, 1, 0x8000_0000) })),
			clearTid: optional(place.filter((it) => it !== 0n)),
			robustList: optional(place.filter((it) => it !== 0n)),
			rseq: optional(fc.record({ area: place.filter((it) => it !== 0n), size: u32, signature: u32 })),
			scheduling: fc.record({
				nice: fc.integer({ min: -20, max: 19 }),
				policy: fc.constantFrom(0, 1, 2, 3, 5),
				priority: fc.nat(99),
			}),
			parentDeathSignal: fc.nat(64),
			seccomp: fc.constantFrom("none" as const, "strict" as const),
		})
		.map((it) => said(it) as Thread);

const microseconds = fc.bigInt({ min: 0n, max: 1n << 80n });
const nanoseconds = fc.bigInt({ min: 0n, max: 1n << 90n });
const intervalTimer = fc.record({ remaining: microseconds, interval: microseconds });
const SIGNALS = Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19);

/** Bytes to be anywhere: in pages, in pipes, in objects. Some pages are zeros. */
const stored = Buffer.from(
	Array.from({ length: 24 * PAGE }, (_, i) => ((i >> 12) % 5 === 2 ? 0 : (i * 31 + (i >> 8)) & 255)),
);
const source = fromBuffer("stored", stored);
const content = (start: bigint, pages: number): fc.Arbitrary<Content> =>
	fc.record({ from: fc.nat(16 * PAGE), short: fc.nat(pages * PAGE) }).map(({ from, short }) => ({
		...{ start: address(start), length: BigInt(pages * PAGE), source, offset: fileOffset(from) },
		available: BigInt(Math.max(pages * PAGE - (short % 3 === 0 ? short : 0), 0)),
	}));

/** Contents of some of the pages of a stretch. */
const contentsIn = (start: bigint, pages: number): fc.Arbitrary<Content[]> =>
	fc
		.array(fc.tuple(fc.nat(pages - 1), fc.integer({ min: 1, max: 4 })), { maxLength: 4 })
		.map((runs) => {
			const taken = new Set<number>();
			return runs
				.sort(([a], [b]) => a - b)
				.flatMap(([from, count]): [number, number][] => {
					const end = Math.min(from + count, pages);
					const free = Array.from({ length: end - from }, (_, i) => from + i).filter((page) => !taken.has(page));
					for (const page of free) taken.add(page);
					const [first] = free;
					return first === undefined ? [] : [[first, free.length]];
				});
		})
		.chain((runs) => fc.tuple(...runs.map(([from, count]) => content(start + BigInt(from * PAGE), count))));

const looks = fc
	.record({ size: optional(u64), mode: optional(u32), buildId: optional(fc.constantFrom("0123abcd", "00".repeat(20))) })
	.map(said);
const mappedFiles = fc
	.uniqueArray(path, { minLength: 1, maxLength: 4 })
	.chain((paths) => fc.tuple(...paths.map((it) => looks.map((how) => ({ path: it, ...how })))));

const object = (number: number): fc.Arbitrary<SharedObject> =>
	fc
		.record({
			named: fc.boolean(),
			looks: fc.record({
				name,
				seals: fc.constantFrom(0, 1, 2, 9, 0x1f),
				uid: u32,
				gid: u32,
				mode: u32,
				huge: fc.boolean(),
			}),
			size: u64,
			contents: contentsIn(0n, 12),
		})
		.map(({ named, looks: { huge, ...how }, size, contents }) => ({
			...{ id: number, size, contents },
			...(named ? { ...how, memfdFlags: (how.seals === 1 ? 0 : 2) | (huge ? 4 | (21 << 26) : 0) } : {}),
		}));

interface Laid {
	readonly mapping: Mapping;
	readonly contents: readonly Content[];
}

const FLAGS = [0x100, 0x2000, 0x4000, 0x4_0000 | (21 << 26)];

/** A mapping of up to 8 pages from `start`, with what private ones hold. */
const laid = (start: bigint, files: readonly string[], objects: readonly SharedObject[]): fc.Arbitrary<Laid> =>
	fc
		.record({
			pages: fc.integer({ min: 1, max: 8 }),
			prot: fc.nat(7),
			flags: fc.subarray(FLAGS).map((list) => list.reduce((all, bit) => all | bit, 0)),
			advice: fc.constantFrom(0n, 1n << 14n, (1n << 10n) | (1n << 16n)),
			offset: fc.nat(100).map((page) => fileOffset(page * PAGE)),
			backing: fc.constantFrom<Backing["kind"]>(
				"anonymous",
				"anonymous",
				"file",
				"file",
				"object",
				"sysv",
				"vsyscall",
				"aio",
			),
			...{ writable: fc.boolean(), shared: fc.boolean(), heap: fc.boolean() },
			...{ file: fc.constantFrom(...files), object: fc.constantFrom(undefined, ...objects) },
		})
		.chain(({ pages, offset, writable, heap, file, object: shown, shared: share, backing: kind, ...common }) => {
			const end = address(start + BigInt(pages * PAGE));
			const backing: Backing =
				kind === "file"
					? { kind, path: file, offset, writable }
					: kind === "object" && shown !== undefined
						? { kind, object: shown.id, offset }
						: kind === "sysv"
							? { kind, id: offset, offset }
							: kind === "vsyscall" || kind === "aio"
								? { kind }
								: { kind: "anonymous", ...(heap ? { role: "heap" } : {}) };
			const shared = backing.kind === "sysv" || ((backing.kind === "file" || backing.kind === "object") && share);
			const mapping: Mapping = { ...common, start: address(start), end, shared, backing };
			const holds = !shared && kind !== "vsyscall";
			return (holds ? contentsIn(start, pages) : fc.constant([])).map((contents) => ({ mapping, contents }));
		});

const memory: fc.Arbitrary<Memory> = fc
	.tuple(
		mappedFiles,
		fc
			.integer({ min: 0, max: 3 })
			.chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => object(i + 1)))),
		fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 10 }),
	)
	.chain(([files, objects, gaps]) =>
		fc.record({
			files: fc.constant(files),
			objects: fc.constant(objects),
			laid: fc.tuple(
				...gaps.map((gap, i) =>
					laid(
						0x10_0000n + BigInt(i * 9 + gap) * BigInt(PAGE),
						files.map((it) => it.path),
						objects,
					),
				),
			),
			bounds: fc.record({
				...{ startCode: place, endCode: place, startData: place, endData: place, startStack: place, startBrk: place },
				...{ brk: place, argStart: place, argEnd: place, envStart: place, envEnd: place },
			}),
			auxv: fc.uniqueArray(fc.record({ type: fc.integer({ min: 2, max: 99 }), value: u64 }), {
				maxLength: 22,
				selector: ({ type }) => type,
			}),
			dumpable: fc.constantFrom(0, 1, 2),
			hugePagesDisabled: optional(fc.boolean()),
			stack: fc.boolean(),
		}),
	)
	.map(({ files, objects, laid: all, bounds, stack, ...rest }): Memory => {
		const mappings = all.map(({ mapping }) => mapping);
		const [executable] = files;
		const used = new Set(mappings.flatMap(({ backing }) => (backing.kind === "file" ? [backing.path] : [])));
		const last = mappings.at(-1);
		const guards = mappings.filter(({ backing }, i) => backing.kind === "anonymous" && i % 3 === 0).map(guardIn);
		const startStack = stack && last?.backing.kind === "anonymous" ? last.start : address(0x7fff_0000_0000n);
		return said({
			...rest,
			mappings: [...mappings.map((it) => (it === last && it.start === startStack ? asStack(it) : it)), ...guards].sort(
				(a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0),
			),
			contents: all.flatMap(({ contents }) => contents),
			objects,
			bounds: { ...bounds, startStack },
			executable: executable?.path ?? "/",
			files: new Map(files.filter((it) => it === executable || used.has(it.path)).map((it) => [it.path, it])),
		});
	});

const asStack = (mapping: Mapping): Mapping => ({ ...mapping, backing: { kind: "anonymous", role: "stack" } });
const guardIn = ({ start }: Mapping): Mapping => ({
	...{ start, end: address(start + BigInt(PAGE)), prot: 0, flags: 0, advice: 0n, shared: false },
	backing: { kind: "guard" },
});

const queued = fc
	.record({ offset: fc.nat(PAGE).map(fileOffset), length: fc.integer({ min: 1, max: 3 * PAGE }).map(BigInt) })
	.map((it) => ({ ...it, source }));
const pipe = (number: number): fc.Arbitrary<Pipe> =>
	fc.record({ capacity: optional(u32), content: optional(queued) }).map((it) => said({ id: number, ...it }) as Pipe);

const description = (
	pipes: readonly Pipe[],
	fifos: readonly Pipe[],
	objects: readonly SharedObject[],
): fc.Arbitrary<object> => {
	const flags = u32.map((it) => it & 0x7fff_ffff & ~0x8_0000);
	const named = objects.filter((it) => it.name !== undefined);
	return fc
		.record({
			flags,
			owner: optional(
				fc.record({ type: u32, pid: u32, signal: fc.nat(64) }).filter(({ pid, signal }) => pid !== 0 || signal !== 0),
			),
			rest: fc.oneof<fc.Arbitrary<object>[]>(
				fc.record({ path, looks, position: u64 }).map(({ path: at, looks: how, position }) => ({
					...{ kind: "file", path: at, position, unlinked: false },
					...how,
				})),
				fc.record({ kind: fc.constant("pipe"), pipe: fc.constantFrom(...pipes) }),
				fc
					.record({ path, looks, kind: fc.constant("fifo"), pipe: fc.constantFrom(...fifos) })
					.map(({ path: at, looks: how, ...it }) => ({ ...it, file: { path: at, ...how } })),
				fc.record({ kind: fc.constant("eventfd"), counter: u64 }),
				fc.constant({ kind: "epoll", targets: [] }),
				fc.record({ kind: fc.constant("signalfd"), mask: u64 }),
				fc.record({
					...{ kind: fc.constant("timerfd"), clock: u32, ticks: u64, settings: u32 },
					...{ remaining: nanoseconds, interval: nanoseconds },
				}),
				...named.map((it) =>
					fc.record({
						kind: fc.constant("memfd"),
						name: fc.constant(it.name),
						object: fc.constant(it.id),
						position: u64,
					}),
				),
			),
		})
		.map(({ rest, ...it }) => said({ ...it, ...rest }));
};

const files = (objects: readonly SharedObject[]): fc.Arbitrary<Files> =>
	fc
		.tuple(fc.tuple(pipe(1), pipe(2)), fc.tuple(pipe(1), pipe(9)))
		.chain(([pipes, fifos]) =>
			fc.record({
				descriptions: fc.uniqueArray(
					fc.tuple(fc.oneof(fc.integer({ min: 1, max: 9 }), id), description(pipes, fifos, objects)),
					{
						...{ minLength: 1, maxLength: 8 },
						selector: ([number]) => number,
					},
				),
				numbers: fc.uniqueArray(fc.oneof(fc.nat(9), fc.nat(0x7fff_ffff)), { maxLength: 10 }),
				chosen: fc.array(fc.nat(), { minLength: 10, maxLength: 10 }),
				closing: fc.nat(1023),
				targets: fc.array(fc.record({ number: fc.nat(9), events: u32, data: u64 }), { maxLength: 3 }),
				...{ cwd: path, root: path, umask: optional(u32) },
			}),
		)
		.map(({ descriptions, numbers, chosen, closing, targets, ...rest }) => {
			const sorted = [...numbers].sort((a, b) => a - b);
			const watched = targets.filter(({ number }) => numbers.includes(number));
			const all = descriptions.map(([number, it]): Description => {
				const made = { id: number, ...it } as Description;
				return made.kind === "epoll" ? { ...made, targets: watched } : made;
			});
			const descriptors = sorted.flatMap((number, i): Descriptor[] => {
				const it = all[(chosen[i] ?? 0) % all.length];
				return it === undefined ? [] : [{ number, closeOnExec: (closing & (1 << i)) !== 0, description: it }];
			});
			return said({ ...rest, descriptors }) as Files;
		});

/** Only what something shows, numbered in the order in which that is read. */
function renumbered(task: Task): Task {
	const order = new Map<number, number>();
	const see = (number: number): number => {
		order.set(number, order.get(number) ?? order.size + 1);
		return order.get(number) ?? 0;
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
		.flatMap((it) => (order.has(it.id) ? [{ ...it, id: order.get(it.id) ?? 0 }] : []))
		.sort((a, b) => a.id - b.id);
	return { ...task, memory: { ...task.memory, mappings, objects }, files: { ...task.files, descriptors } };
}

export const anyTask: fc.Arbitrary<Task> = fc
	.tuple(fc.uniqueArray(id, { minLength: 1, maxLength: 4 }), memory)
	.chain(([tids, space]) =>
		fc.record({
			identity: fc
				.record({
					...{ pid: fc.constant(tids[0] ?? 1), ppid: fc.constant(0), pgid: id, sid: id, comm: name },
					oomScoreAdjust: optional(fc.integer({ min: -1000, max: 1000 })),
					childSubreaper: optional(fc.boolean()),
				})
				.map(said),
			threads: fc.tuple(...tids.map(thread)),
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
						...{ id: u32, clock: u32, signal: u32, notify: u32, value: u64, overrun: u32 },
						...{ remaining: nanoseconds, interval: nanoseconds, thread: optional(fc.integer({ min: -1 })) },
					}),
					{ maxLength: 3, selector: (timer) => timer.id },
				)
				.map((timers) => timers.map(said)),
			limits: fc.array(fc.record({ soft: u64, hard: u64 }), { minLength: 16, maxLength: 16 }),
			pending: siginfos,
			files: files(space.objects),
			stopped: fc.boolean(),
		}),
	)
	.map((task) => renumbered(task as Task));
