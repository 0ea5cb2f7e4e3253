import fc from "fast-check";
import { type Address, address, type FileOffset, fileOffset, plus } from "../../../src/bytes/address.ts";
import type { Placed } from "../../../src/bytes/extent.ts";
import type { Backing, GhostFile, Mapping, Memory, SharedObject } from "../../../src/forest/task.ts";
import { ofMapping } from "./arbitrary-attributes.ts";
import { id, looks, name, optional, PAGE, path, place, said, source, u32, u64 } from "./arbitrary-values.ts";

const content = <At extends Address | FileOffset>(start: At, pages: number): fc.Arbitrary<Placed<At>> =>
	fc.record({ from: fc.nat(16 * PAGE), short: fc.nat(pages * PAGE) }).map(({ from, short }) => ({
		...{ start, length: BigInt(pages * PAGE), source, offset: fileOffset(from) },
		available: BigInt(Math.max(pages * PAGE - (short % 3 === 0 ? short : 0), 0)),
	}));

/** Contents of some of the pages of a stretch. */
const contentsIn = <At extends Address | FileOffset>(start: At, pages: number): fc.Arbitrary<Placed<At>[]> =>
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
		.chain((runs) => fc.tuple(...runs.map(([from, count]) => content(plus(start, BigInt(from * PAGE)), count))));

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
			contents: contentsIn(fileOffset(0), 12),
		})
		.map(({ named, looks: { huge, ...how }, size, contents }) => ({
			...{ id: number, size, contents },
			...(named ? { ...how, memfdFlags: (how.seals === 1 ? 0 : 2) | (huge ? 4 | (21 << 26) : 0) } : {}),
		}));

/** Seconds and microseconds since 1970. */
const moment = fc.bigInt({ min: 0n, max: (1n << 40n) * 1_000_000n - 1n }).map((it) => it * 1000n);
const ghost = (number: number): fc.Arbitrary<GhostFile> =>
	fc
		.record({
			...{ name, uid: u32, gid: u32, permissions: fc.nat(0o7777), past: fc.nat(9000) },
			runs: fc.array(fc.tuple(fc.nat(5000), fc.integer({ min: 1, max: 5000 })), { maxLength: 3 }),
			times: optional(fc.record({ accessed: moment, modified: moment })),
		})
		.map(({ name: at, uid, gid, permissions, past, runs, times }) => {
			let end = 0;
			const contents = runs.map(([gap, length]): Placed<FileOffset> => {
				const start = end + gap;
				end = start + length;
				const offset = fileOffset(gap);
				return { start: fileOffset(start), length: BigInt(length), source, offset, available: BigInt(length) };
			});
			const path = `/gone${number}/${at}`;
			return { id: number, path, mode: 0o100000 | permissions, uid, gid, size: BigInt(end + past), contents, ...times };
		});

interface Laid {
	readonly mapping: Mapping;
	readonly contents: readonly Placed<Address>[];
}

const FLAGS = [0x100, 0x2000, 0x4000, 0x4_0000 | (21 << 26)];

/** A mapping of up to 8 pages from `start`, with what private ones hold. */
const laid = (
	start: bigint,
	files: readonly { readonly path: string; readonly ghost?: number }[],
	objects: readonly SharedObject[],
): fc.Arbitrary<Laid> =>
	fc
		.record({
			pages: fc.integer({ min: 1, max: 8 }),
			prot: fc.nat(7),
			flags: fc.subarray(FLAGS).map((list) => list.reduce((all, bit) => all | bit, 0)),
			advice: fc.constantFrom(0n, 1n << 14n, (1n << 10n) | (1n << 16n)),
			attributes: ofMapping,
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
					? { kind, ...file, offset, writable }
					: kind === "object" && shown !== undefined
						? {
								...{ kind, object: shown.id, offset },
								// sealed against writing, nothing of it can be: that need not be said
								...(writable || ((shown.seals ?? 0) & 8) !== 0 ? {} : { writable: false }),
							}
						: kind === "sysv"
							? { kind, id: offset, offset }
							: kind === "vsyscall" || kind === "aio"
								? { kind }
								: { kind: "anonymous", ...(heap ? { role: "heap" } : {}) };
			const shared =
				backing.kind === "sysv" ||
				backing.kind === "aio" ||
				((backing.kind === "file" || backing.kind === "object") && share);
			const mapping: Mapping = { ...said(common), start: address(start), end, shared, backing };
			const holds = kind === "aio" || (!shared && kind !== "vsyscall");
			return (holds ? contentsIn(mapping.start, pages) : fc.constant([])).map((contents) => ({ mapping, contents }));
		});

/** Any memory that images can hold without loss. */
export const anyMemory: fc.Arbitrary<Memory> = fc
	.tuple(
		mappedFiles,
		fc
			.integer({ min: 0, max: 3 })
			.chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => object(i + 1)))),
		fc.uniqueArray(id, { maxLength: 2 }).chain((numbers) => fc.tuple(...numbers.map(ghost))),
		fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 1, maxLength: 10 }),
	)
	.chain(([files, objects, ghosts, gaps]) =>
		fc.record({
			files: fc.constant(files),
			objects: fc.constant(objects),
			ghosts: fc.constant(ghosts),
			gone: fc.boolean(),
			laid: fc.tuple(
				...gaps.map((gap, i) =>
					laid(
						0x10_0000n + BigInt(i * 9 + gap) * BigInt(PAGE),
						[...files.map((it) => ({ path: it.path })), ...ghosts.map((it) => ({ path: it.path, ghost: it.id }))],
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
	.map(({ files, objects, ghosts, gone, laid: all, bounds, stack, ...rest }): Memory => {
		const mappings = all.map(({ mapping }) => mapping);
		const lost = gone ? ghosts[0] : undefined;
		const executable = lost ?? files[0];
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
			ghosts,
			executable: executable?.path ?? "/",
			executableGhost: lost?.id,
			files: new Map(files.filter((it) => it === executable || used.has(it.path)).map((it) => [it.path, it])),
		});
	});

const asStack = (mapping: Mapping): Mapping => ({ ...mapping, backing: { kind: "anonymous", role: "stack" } });
const guardIn = ({ start }: Mapping): Mapping => ({
	...{ start, end: address(start + BigInt(PAGE)), prot: 0, flags: 0, advice: 0n, shared: false },
	backing: { kind: "guard" },
});
