import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { initialFx } from "../../src/arch/x86-64/xstate.ts";
import { writtenXstateLayout } from "../../src/arch/x86-64/xstate-layout.ts";
import { address, fileOffset } from "../../src/bytes/address.ts";
import { fromBuffer } from "../../src/bytes/source.ts";
import { type KnownNote, noteId, noteKinds } from "../../src/core/note-kinds.ts";

// One law for every row of the table: what is written is read back. A row without a sample here does not compile.

const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const bytes = (size: number): fc.Arbitrary<Buffer> =>
	fc.uint8Array({ minLength: size, maxLength: size }).map((all) => Buffer.from(all));
const structure = <T>({ size, decode }: { readonly size: KnownNote["size"]; decode(raw: Buffer): T }) =>
	bytes("exactly" in size ? size.exactly : 0).map((raw) => decode(raw));

/** Components 2, 9 and 19 of the XSAVE area, and how large each is. */
const sizes = new Map([
	[2, 256],
	[9, 8],
	[19, 128],
]);
const areas = writtenXstateLayout(sizes);
const used = 0b1000_0000_0010_0000_0111n;

const page = fc.bigInt({ min: 1n, max: 1n << 30n }).map((n) => n * 4096n);

const samples = {
	status: structure(noteKinds.status as never),
	process: structure(noteKinds.process as never),
	siginfo: fc.uint8Array({ minLength: 128, maxLength: 128 }),
	// more of them could look like a vector that a tool garbled
	auxv: fc.array(fc.record({ type: fc.integer({ min: 1, max: 60 }), value: word }), { maxLength: 4 }),
	files: fc
		.uniqueArray(fc.record({ at: page, offset: page, path: fc.string({ minLength: 1 }), deleted: fc.boolean() }), {
			selector: ({ at }) => at,
			maxLength: 4,
		})
		.map((rows) => ({
			pageSize: 4096n,
			files: rows
				.filter(({ path }) => !/\0| \(deleted\)$/.test(path))
				.sort((a, b) => (a.at < b.at ? -1 : 1))
				.map(({ at, offset, path, deleted }) => ({
					...{ start: address(at), end: address(at + 4096n), offset: fileOffset(offset), path, deleted },
				})),
		})),
	fx: fc.uint8Array({ minLength: 512, maxLength: 512 }),
	xstate: fc.record({ fill: fc.nat(255), mxcsr: fc.nat(0xffff), xstateBv: word }).map(({ fill, mxcsr, xstateBv }) => ({
		fx: { ...initialFx, mxcsr, padding: initialFx.padding.map((zero, i) => (i === 12 ? Number(used) : zero)) },
		xcr0: used,
		xstateBv: xstateBv & used,
		components: new Map([...sizes].map(([component, size]) => [component, new Uint8Array(size).fill(fill)])),
	})),
	shadowStack: word,
	xsaveLayout: fc.constant({ ...areas, origin: "note" as const }),
} satisfies Record<keyof typeof noteKinds, fc.Arbitrary<unknown>>;

const source = fromBuffer("core", Buffer.alloc(0));
const by = {
	...{ source, at: fileOffset(0), segments: [] },
	...{ subject: "core: thread 1", writer: "kernel" as const, xsaveLayout: areas },
};

/** A row whose values are whatever they are. */
interface AnyRow extends KnownNote {
	decode(raw: Buffer, reading: typeof by): unknown;
	encode(value: unknown, layout: typeof areas): Uint8Array;
}

describe.each(Object.keys(noteKinds) as (keyof typeof noteKinds)[])("the note %s", (name) => {
	const row = noteKinds[name] as unknown as AnyRow;

	test("that is written is read back, and of a size that is taken", () => {
		fc.assert(
			fc.property(samples[name] as fc.Arbitrary<unknown>, (value) => {
				const written = Buffer.from(row.encode(value, areas));
				expect(row.decode(written, by)).toEqual(value);
				if ("exactly" in row.size) expect(written.length).toBe(row.size.exactly);
				else expect(written.length % (row.size.multipleOf ?? 1)).toBe(0);
			}),
			{ numRuns: 50 },
		);
	});
});

it("each row has a number of its own", () => {
	const ids = Object.values(noteKinds).map(noteId);
	expect(new Set(ids).size).toBe(ids.length);
});
