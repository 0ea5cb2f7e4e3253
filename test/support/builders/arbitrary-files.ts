import fc from "fast-check";
import { fileOffset } from "../../../src/bytes/address.ts";
import type { InotifyWatch } from "../../../src/descriptors/inotify.ts";
import type { Description } from "../../../src/descriptors/kinds.ts";
import type { Pipe } from "../../../src/descriptors/pipe-queue.ts";
import type { Descriptor, Files } from "../../../src/forest/files.ts";
import type { FileLock } from "../../../src/forest/locks.ts";
import type { Memory } from "../../../src/forest/task.ts";
import { id, looks, nanoseconds, optional, PAGE, path, said, source, u32, u64 } from "./arbitrary-values.ts";

const queued = fc
	.record({ offset: fc.nat(PAGE).map(fileOffset), length: fc.integer({ min: 1, max: 200 }).map(BigInt) })
	.map((it) => ({ ...it, source, available: it.length }));
const pipe = (number: number): fc.Arbitrary<Pipe> =>
	fc.record({ capacity: optional(u32), content: optional(queued) }).map((it) => said({ id: number, ...it }) as Pipe);

const watch = fc
	.record({
		...{ number: u32, mask: u32, inode: u64, device: u32, path: optional(path) },
		handle: fc.record({ type: u32, bytes: fc.uint8Array({ maxLength: 128 }).map((bytes) => Buffer.from(bytes)) }),
	})
	.map((it) => said(it) as InotifyWatch);
const byNumber = { selector: ({ number }: InotifyWatch) => number };
const flag = fc.constantFrom(0, 1);
const addressOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** TCP sockets that are not connected, and sockets of UDP. What CRIU's entry leaves out is not 0. */
const inetSocket = fc.constantFrom(4, 16).chain((length) =>
	fc
		.record({
			kind: fc.constant("inet-socket"),
			...{ inode: u32, family: fc.constant(length === 4 ? 2 : 10), backlog: u32 },
			kindOf: fc.constantFrom(
				{ type: 1, protocol: 6, state: 10 },
				{ type: 1, protocol: 6, state: 7 },
				{ type: 2, protocol: 17, state: 7 },
			),
			source: fc.record({ port: fc.integer({ min: 1, max: 65_535 }), address: addressOf(length) }),
			target: fc.constant({ port: 0, address: new Uint8Array(length) }),
			onlyV6: length === 4 ? fc.constant(undefined) : fc.boolean(),
			common: fc.record({
				"send buffer": u32,
				"receive buffer": u32,
				"reuse address": flag,
				"reuse port": flag,
				priority: fc.nat(6),
			}),
			tcp: fc.record({ "no delay": flag, cork: flag, "keep alive idle": u32 }),
			tos: optional(fc.integer({ min: 1, max: 255 })),
			timeouts: fc.record({ send: fc.nat().map(BigInt), receive: fc.nat().map(BigInt) }),
			...{ linger: optional(u32), device: optional(fc.constantFrom("lo", "eth0")), namespace: optional(u32) },
		})
		.map(({ kindOf, common, tcp, tos, ...it }) => {
			const service = length === 4 && tos !== undefined ? { "type of service": tos } : {};
			const options = { ...common, ...(kindOf.protocol === 6 ? tcp : {}), ...service };
			return said({ ...it, ...kindOf, options });
		}),
);

const description = (
	pipes: readonly Pipe[],
	fifos: readonly Pipe[],
	{ objects, ghosts = [] }: Memory,
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
				...ghosts.map((it) =>
					fc.record({ looks, position: u64 }).map(({ looks: how, position }) => ({
						...{ kind: "file", path: it.path, position, unlinked: true, ghost: it.id },
						...how,
					})),
				),
				// a directory that is gone is a file without a name, as every regular file is
				fc.constant({ kind: "file", path: "/gone", position: 0n, unlinked: true, mode: 0o010600 }),
				fc.record({ kind: fc.constant("pipe"), pipe: fc.constantFrom(...pipes) }),
				fc
					.record({
						...{ path, looks, kind: fc.constant("fifo"), pipe: fc.constantFrom(...fifos) },
						unlinked: fc.constantFrom(undefined, true),
					})
					.map(({ path: at, looks: how, ...it }) => said({ ...it, file: { path: at, ...how } })),
				fc
					.record({ kind: fc.constant("eventfd"), counter: u64, semaphore: fc.constantFrom(undefined, true) })
					.map(said),
				fc.constant({ kind: "epoll", targets: [] }),
				fc.record({ kind: fc.constant("signalfd"), mask: u64 }),
				inetSocket,
				fc.record({
					...{ kind: fc.constant("timerfd"), clock: u32, ticks: u64, settings: u32 },
					...{ remaining: nanoseconds, interval: nanoseconds },
				}),
				fc
					.record({ kind: fc.constant("inotify"), watches: fc.uniqueArray(watch, { ...byNumber, maxLength: 4 }) })
					.map((it) => ({
						...it,
						watches: [...it.watches].sort((a, b) => a.number - b.number),
					})),
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

/** Some are of a lease: those cover the whole file. */
const lock = fc
	.record({
		...{ kind: fc.constantFrom("posix", "flock", "ofd", "lease"), type: fc.constantFrom("read", "write") },
		...{ start: fc.nat().map(BigInt), length: fc.nat().map(BigInt), breaking: fc.constantFrom(undefined, true) },
	})
	.map(({ breaking, ...it }) =>
		it.kind !== "lease" ? it : said({ ...it, type: breaking ? "none" : it.type, start: 0n, length: 0n, breaking }),
	) as fc.Arbitrary<Omit<FileLock, "descriptor">>;

/** Whatever may be open, some of it what the memory shows too. */
export const anyFiles = (space: Memory): fc.Arbitrary<Files> =>
	fc
		.tuple(fc.tuple(pipe(1), pipe(2)), fc.tuple(pipe(1), pipe(9)))
		.chain(([pipes, fifos]) =>
			fc.record({
				descriptions: fc.uniqueArray(
					fc.tuple(fc.oneof(fc.integer({ min: 1, max: 9 }), id), description(pipes, fifos, space)),
					{
						...{ minLength: 1, maxLength: 8 },
						selector: ([number]) => number,
					},
				),
				numbers: fc.uniqueArray(fc.oneof(fc.nat(9), fc.nat(0x7fff_ffff)), { maxLength: 10 }),
				chosen: fc.array(fc.nat(), { minLength: 10, maxLength: 10 }),
				closing: fc.nat(1023),
				targets: fc.array(fc.record({ number: fc.nat(9), events: u32, data: u64 }), { maxLength: 3 }),
				locked: fc.array(fc.tuple(fc.nat(), lock), { maxLength: 3 }),
				...{ cwd: path, root: path, umask: optional(u32) },
			}),
		)
		.map(({ descriptions, numbers, chosen, closing, targets, locked, ...rest }) => {
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
			const firsts = new Map([...descriptors].reverse().map((it) => [it.description.id, it.number]));
			const locks = [...firsts.values()].flatMap((descriptor, i): FileLock[] =>
				locked.flatMap(([which, it]) => (which % 8 === i ? [{ ...it, descriptor }] : [])).slice(0, 1),
			);
			return said({ ...rest, descriptors, locks: locks.length === 0 ? undefined : locks }) as Files;
		});
