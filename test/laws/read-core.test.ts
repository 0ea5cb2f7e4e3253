import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../src/bytes/source.ts";
import { buildIds } from "../../src/core/build-ids.ts";
import { type Core, readCore } from "../../src/core/core.ts";
import { coreMemory } from "../../src/core/memory.ts";
import { initialStack } from "../../src/core/stack.ts";
import { NecromancerError } from "../../src/errors.ts";
import { type BuiltCore, buildCore, xstateArea } from "../support/builders/core-builder.ts";
import { deadStack } from "../support/builders/dead-stack.ts";

const open = (bytes: Uint8Array): Core => readCore(fromBuffer("core", bytes));

/** Reads all there is to read of a core. */
function exhaust(bytes: Uint8Array): Core {
	const core = open(bytes);
	const memory = coreMemory(core);
	buildIds(core, memory);
	initialStack(core, memory);
	for (const { start } of memory.mappings) memory.readWord(start);
	return core;
}

/** The code of the refusal, "read" without one; anything else that is thrown is a failure. */
function outcome(bytes: Uint8Array): string {
	try {
		exhaust(bytes);
		return "read";
	} catch (error) {
		if (error instanceof NecromancerError) return error.code;
		throw error;
	}
}

const page = 0x1000n;
const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

/** A process whose mappings lie apart by `gap` pages and are held to `held` sixteenths. */
const processes: fc.Arbitrary<BuiltCore> = fc
	.record({
		style: fc.constantFrom("kernel" as const, "gdb" as const),
		tids: fc.uniqueArray(fc.integer({ min: 1, max: 4_194_304 }), { minLength: 1, maxLength: 6 }),
		signal: fc.integer({ min: 1, max: 64 }),
		blocked: word,
		registers: fc.array(word, { minLength: 27, maxLength: 27 }),
		features: fc.constantFrom("none" as const, "fx" as const, "xstate" as const),
		mappings: fc.array(
			fc.record({
				gap: fc.bigInt({ min: 0n, max: 1n << 20n }),
				pages: fc.bigInt({ min: 1n, max: 3n }),
				// Not 4: of execute-only text the file is asked, not the core.
				prot: fc.constantFrom(0, 1, 2, 3, 5, 6, 7),
				held: fc.integer({ min: 0, max: 16 }),
				fill: fc.integer({ min: 0, max: 255 }),
				path: fc.option(fc.uint8Array({ minLength: 1, maxLength: 12 }).map((raw) => raw.map((byte) => byte || 1))),
				offset: fc.bigInt({ min: 0n, max: 1n << 30n }),
			}),
			{ maxLength: 8 },
		),
		auxv: fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), word), { maxLength: 20 }),
		noteSegments: fc.integer({ min: 1, max: 4 }),
		xnum: fc.boolean(),
		shuffle: fc.boolean(),
	})
	.map(({ style, tids, signal, blocked, registers, features, mappings, auxv, noteSegments, xnum, shuffle }) => {
		let at = 0x10000n;
		const placed = mappings.map((mapping) => {
			const start = at + mapping.gap * page;
			at = start + mapping.pages * page;
			return { ...mapping, start, end: at };
		});
		const segments = placed.map(({ start, end, prot, held, fill }) => ({
			...{ start, end, prot, bytes: Buffer.alloc((Number(end - start) / 16) * held, fill) },
		}));
		const files = placed.flatMap(({ start, end, offset, path }) =>
			path === null ? [] : [{ start, end, offset: offset * page, path }],
		);
		const threads = tids.map((tid) => ({
			...{ tid, signal, blocked, registers },
			...(features !== "none" && { fx: Buffer.alloc(512, tid % 256) }),
			...(features === "xstate" && { xstate: xstateArea(832, 7n, 7n, [[576, Buffer.alloc(256, tid % 256)]]) }),
		}));
		const order = shuffle ? segments.toReversed() : segments;
		return { style, threads, segments: order, files, auxv, noteSegments, xnum };
	});

test("what was built is what is read", () => {
	fc.assert(
		fc.property(processes, (built) => {
			const core = exhaust(buildCore(built));
			const segments = [...(built.segments ?? [])].sort((a, b) => (a.start < b.start ? -1 : 1));
			expect(
				core.segments.map(({ start, end, prot, available }) => ({ start, end, prot, fileSize: available })),
			).toEqual(
				segments.map(({ start, end, prot, bytes }) => ({ start, end, prot, fileSize: BigInt(bytes?.length ?? 0) })),
			);
			expect(
				core.threads.map(({ status, fx, xstate }) => [
					status.pr_pid,
					status.pr_cursig,
					fx?.[9],
					xstate?.components.get(2)?.[9],
				]),
			).toEqual(built.threads.map(({ tid, signal, fx, xstate }) => [tid, signal, fx?.[9], xstate?.[585]]));
			for (const { status } of core.threads) {
				expect(Object.values(status.pr_reg)).toEqual(built.threads[0]?.registers);
				expect(status.pr_sighold).toBe(built.threads[0]?.blocked);
			}
			expect(core.auxv.map(({ type, value }) => [type, value])).toEqual(built.auxv);
			expect(core.files.map(({ start, end, offset }) => [start, end, offset])).toEqual(
				built.files?.map(({ start, end, offset }) => [start, end, offset]),
			);
			const memory = coreMemory(core);
			for (const { start, bytes } of segments) {
				const read = memory.read(
					core.segments.find((segment) => segment.start === start)?.start ?? fail(),
					bytes?.length ?? 0,
				);
				expect(read && bytes && Buffer.compare(read, bytes)).toBe(0);
			}
			// Whatever is at an address, the answer covers it to the end and no further than the mapping.
			for (const mapping of memory.mappings) {
				let at = mapping.start;
				while (at < mapping.end) at = (at + memory.locate(at).length) as typeof at;
				expect(at).toBe(mapping.end);
			}
		}),
		{ numRuns: 150 },
	);
});

const stack = deadStack(["/bin/prog", "x"], ["A=b"], { size: 0x2000, gap: 20 });
const small = (style: "kernel" | "gdb"): Buffer =>
	buildCore({
		style,
		threads: [
			{ tid: 5, signal: 11, siginfo: Buffer.alloc(128, 1), fx: Buffer.alloc(512), xstate: xstateArea(832, 7n, 7n) },
			{ tid: 6, signal: 11, shadowStack: 4096n },
		],
		auxv: stack.auxv,
		files: [{ start: 0x1000n, end: 0x2000n, offset: 0n, path: "/bin/prog" }],
		segments: [
			{ start: 0x1000n, end: 0x2000n, prot: 5, bytes: Buffer.alloc(64, 3) },
			{ start: stack.start, end: stack.end, prot: 3, bytes: stack.bytes },
		],
		xsaveLayout: [[2, 256, 576]],
	});

describe.each(["kernel", "gdb"] as const)("a small core of %s", (style) => {
	const whole = small(style);

	test("is read whole", () => expect(outcome(whole)).toBe("read"));

	test("is refused at whatever byte it is cut", () => {
		const codes = new Set<string>();
		for (let length = 0; length < whole.length; length++) codes.add(outcome(whole.subarray(0, length)));
		expect([...codes].sort()).toEqual(["ERR_CORE_MAGIC", "ERR_CORE_TRUNCATED"]);
	});

	test("with any one byte of headers and notes turned is read or refused", () => {
		const noteBytes = whole.length - stack.bytes.length - 64;
		for (let at = 0; at < (style === "kernel" ? noteBytes : whole.length); at++) {
			if (style === "gdb" && at === 300) at = whole.length - 5000;
			const bytes = Buffer.from(whole);
			bytes.writeUInt8((whole[at] ?? 0) ^ 0xff, at);
			outcome(bytes);
		}
	});

	test("with many bytes changed at random is read or refused", () => {
		const change = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 0, max: 255 }));
		// Most changes among the headers, where they hurt.
		const early = fc.tuple(fc.nat(300), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
		fc.assert(
			fc.property(fc.array(fc.oneof(change, early), { minLength: 1, maxLength: 12 }), (changes) => {
				const bytes = Buffer.from(whole);
				for (const [at, value] of changes) bytes.writeUInt8(value, at);
				outcome(bytes);
			}),
			{ numRuns: 1500 },
		);
	});
});

test("no bytes at all are read as a core", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
			expect(outcome(Buffer.concat([small("kernel").subarray(0, 20), bytes]))).not.toBe("read");
		}),
	);
});

const fail = (): never => {
	throw new Error("a segment is missing");
};
