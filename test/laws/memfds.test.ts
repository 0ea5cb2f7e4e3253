import fc from "fast-check";
import { expect, test } from "vitest";
import { fileOffset } from "../../src/bytes/address.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import type { MemfdDescription } from "../../src/descriptors/memfd.ts";
import type { Descriptor } from "../../src/forest/files.ts";
import type { Mapping, SharedObject } from "../../src/forest/task.ts";
import {
	executed,
	expectedAreas,
	expectedPage,
	inObject,
	mapping,
	PAGE,
	PAGES,
	pagesFile,
	taskOf,
} from "../support/builders/memory-task.ts";
import { present } from "../support/present.ts";

// However memfds were sealed, opened and mapped: carried out by a kernel, the plan ends with exactly that.

const AT = 0x7000_0000_0000n;
const OBJECT_PAGES = 3;
const pages = pagesFile(16, 5);
const files = new Map([[PAGES, pages]]);
const source = fromBuffer(PAGES, pages);
const [WRITE, FUTURE_WRITE] = [8, 0x10];

const object = (id: number): fc.Arbitrary<SharedObject> =>
	fc.record({
		id: fc.constant(id),
		name: fc.constantFrom("jit", "cache"),
		size: fc.constant(BigInt(OBJECT_PAGES * PAGE)),
		...{ memfdFlags: fc.constant(2), mode: fc.integer({ min: 0, max: 0o777 }), uid: fc.nat(9), gid: fc.nat(9) },
		seals: fc.subarray([1, 2, 4, WRITE, FUTURE_WRITE]).map((bits) => bits.reduce((all, bit) => all | bit, 0)),
		contents: fc.uniqueArray(fc.nat(OBJECT_PAGES - 1), { maxLength: OBJECT_PAGES }).map((list) =>
			list
				.sort((a, b) => a - b)
				.map((page) => ({
					...{ start: fileOffset(page * PAGE), length: BigInt(PAGE), available: BigInt(PAGE), source },
					offset: fileOffset((4 * id + page) * PAGE),
				})),
		),
	});

const objects = fc.tuple(object(1), object(2), object(3));

const description = (id: number, all: readonly SharedObject[]): fc.Arbitrary<MemfdDescription> =>
	fc
		.tuple(
			fc.constantFrom(...all),
			fc.constantFrom(0, 1, 2, 2, 2),
			fc.subarray([0o2000, 0o4000]),
			fc.constantFrom(0n, 99n),
		)
		.map(([{ id: shown, name = "" }, access, more, position]) => ({
			...{ kind: "memfd", id, name, object: shown, position },
			flags: more.reduce((bits, bit) => bits | bit, access | 0o100000),
		}));

/** One mapping of pages 0 … n of an object, as that may be mapped. */
const mapped = (all: readonly SharedObject[]): fc.Arbitrary<Mapping[]> =>
	fc
		.array(fc.tuple(fc.constantFrom(...all), fc.integer({ min: 1, max: OBJECT_PAGES }), fc.nat(3), fc.boolean()), {
			maxLength: 5,
		})
		.map((list) =>
			list.map(([{ id, seals = 0 }, count, prot, shared], i) => {
				const readOnly = shared && (seals & WRITE) !== 0;
				const options = { prot: readOnly ? prot & 1 : prot, shared };
				return mapping(AT + BigInt(i) * 0x10_0000n, count, inObject(id), options);
			}),
		);

const process = objects.chain((all) =>
	fc.record({
		objects: fc.constant(all),
		mappings: mapped(all),
		descriptors: fc
			.tuple(description(40, all), description(41, all), description(42, all), description(43, all))
			.chain((descriptions) =>
				fc.uniqueArray(
					fc.record({ number: fc.nat(9), closeOnExec: fc.boolean(), description: fc.constantFrom(...descriptions) }),
					{ maxLength: 6, selector: ({ number }) => number },
				),
			)
			.map((list): Descriptor[] => list.sort((a, b) => a.number - b.number)),
	}),
);

test("a plan ends with the memfds of the process, and with nothing else", () => {
	fc.assert(
		fc.property(process, fc.boolean(), (parts, memfdExec) => {
			const task = taskOf(parts);
			const model = executed(task, files, { memfdExec });
			expect(model.areas()).toEqual(expectedAreas(task));
			for (const { start, end } of parts.mappings)
				for (let at: bigint = start; at < end; at += BigInt(PAGE))
					expect(model.page(at).equals(expectedPage(task, at, files))).toBe(true);
			const numbers = parts.descriptors.map(({ number }) => number);
			expect([...model.table.keys()].sort((a, b) => a - b)).toEqual(numbers);
			const inodes = new Map<number, unknown>();
			const same = (id: number, inode: unknown): void => {
				expect(inodes.get(id) ?? inode).toBe(inode);
				inodes.set(id, inode);
			};
			const descriptions = new Map<number, unknown>();
			for (const { number, closeOnExec, description } of parts.descriptors) {
				const open = present(model.table.get(number));
				const { id, flags, position, object } = description as MemfdDescription;
				expect(open).toMatchObject({ closeOnExec, description: { flags, position } });
				expect(descriptions.get(id) ?? open.description).toBe(open.description);
				descriptions.set(id, open.description);
				const { seals, mode = 0, uid, gid } = present(parts.objects.find((it) => it.id === object));
				expect(open.description.inode).toMatchObject({ seals, mode: mode & 0o7777, owner: [uid, gid] });
				same(object, open.description.inode);
			}
			for (const { start, backing } of parts.mappings)
				if (backing.kind === "object") same(backing.object, model.behind(start));
			expect(new Set(inodes.values()).size).toBe(inodes.size);
			expect(new Set(descriptions.values()).size).toBe(descriptions.size);
		}),
		{ numRuns: 200 },
	);
});
