import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { isOther } from "../../src/forest/verdict.ts";
import type { Expected } from "../../src/inputs/expected.ts";
import { judge, type OpenedFile, openedFile } from "../../src/inputs/judge.ts";
import { program } from "../support/builders/pair.ts";

/** A file, and everything that could be told of it by whoever had it. */
interface Life {
	readonly here: OpenedFile;
	readonly all: Required<Pick<Expected, "size" | "mode" | "identity" | "reach" | "isMapped" | "waits">> & Expected;
}

const lives: fc.Arbitrary<Life> = fc
	.record({
		id: fc.option(fc.uint8Array({ minLength: 4, maxLength: 20 }), { nil: undefined }),
		data: fc.uint8Array({ maxLength: 64 }),
		permissions: fc.integer({ min: 0, max: 0o7777 }),
		identity: fc.record({ device: fc.bigInt(0n, 9n), inode: fc.bigInt(1n, 9n), birth: fc.bigInt(1n, 9n) }),
		isObject: fc.boolean(),
	})
	.map(({ id, data, permissions, identity, isObject }) => {
		const object = program(Buffer.from(id ?? [0]).toString("hex"), 1);
		if (id === undefined) object.write("XXX", 132, "latin1");
		const bytes = isObject ? object : Buffer.from(data);
		const mode = 0o100000 | permissions;
		const common = { size: BigInt(bytes.length), mode, identity, isMapped: true, waits: true };
		const reach = { lastStart: 0n, end: BigInt(bytes.length) };
		const headers = { head: bytes.subarray(0, 120), beginning: (length: number) => bytes.subarray(0, length) };
		const told = !isObject ? {} : id === undefined ? headers : { ...headers, buildId: Buffer.from(id).toString("hex") };
		return { here: { ...openedFile(fromBuffer("file", bytes), mode), identity }, all: { ...common, reach, ...told } };
	});

/** Some of what is known. */
const parts = (all: Expected): fc.Arbitrary<Expected> =>
	fc
		.subarray(Object.keys(all))
		.map((keys) => Object.fromEntries(Object.entries(all).filter(([key]) => keys.includes(key))));

describe("the judge of files", () => {
	test("takes a file for itself, however much is known of it; and proves it unless nothing is", () => {
		const known = lives.chain((life) => parts(life.all).map((expected) => ({ ...life, expected })));
		fc.assert(
			fc.property(known, ({ here, expected }) => {
				const { size, mode, identity, buildId, head } = expected;
				const proves = [size, mode, identity, buildId, head].some((it) => it !== undefined);
				expect(judge(expected, here).kind).toBe(proves ? "same" : "plausible");
			}),
		);
	});

	test("never takes one for the file after more was told that it did not take before", () => {
		const pairs = fc
			.tuple(lives, lives)
			.chain(([one, { here }]) => parts(one.all).chain((more) => parts(more).map((less) => ({ here, more, less }))));
		fc.assert(
			fc.property(pairs, ({ here, more, less }) => {
				// a build-id says more than headers do: a file rebuilt with the same id passes for it
				if (more.buildId !== undefined && less.buildId === undefined && less.head !== undefined) return;
				if (isOther(judge(less, here))) expect(isOther(judge(more, here))).toBe(true);
			}),
		);
	});
});
