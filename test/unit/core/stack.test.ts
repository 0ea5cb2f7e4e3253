import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { coreMemory } from "../../../src/core/memory.ts";
import { type InitialStack, initialStack } from "../../../src/core/stack.ts";
import { type BuiltCore, buildCore } from "../../support/builders/core-builder.ts";
import { type DeadStack, deadStack } from "../../support/builders/dead-stack.ts";

const ARGS = ["/bin/prog", "--flag", "", "größe"];
const ENV = ["LANG=C", "EMPTY=", "HOME=/root"];

function search(stack: DeadStack, changes: Partial<BuiltCore> = {}): InitialStack {
	const { start, end, bytes, auxv } = stack;
	const segments = [{ start, end, prot: 3, bytes }];
	const core = readCore(fromBuffer("core", buildCore({ threads: [{ tid: 1 }], auxv, segments, ...changes })));
	return initialStack(core, coreMemory(core));
}

const truth = ({ startStack, argStart, argEnd, envEnd }: DeadStack) => ({
	...{ startStack, argStart, argEnd, envStart: argEnd, envEnd },
});

describe("an untouched stack is found", () => {
	test("with arguments and environment", () => {
		const stack = deadStack(ARGS, ENV);
		expect(search(stack)).toEqual({ kind: "found", ...truth(stack), argv: ARGS, execfn: "/bin/prog" });
	});

	test.each([
		["no environment", ["a"], [], 0],
		["the largest random gap", ["a", "b"], ["X=1"], 8191],
		[
			"many of both",
			Array.from({ length: 3000 }, (_, i) => `argument ${i}`),
			Array.from({ length: 999 }, (_, i) => `V${i}=`),
			5,
		],
	])("%s", (_, argv, env, gap) => {
		const stack = deadStack(argv, env, { gap, size: 0x60000 });
		expect(search(stack)).toEqual({ kind: "found", ...truth(stack), argv, execfn: "/bin/prog" });
	});

	test("below more stack than is ever searched at once", () => {
		const stack = deadStack(["x".repeat(200_000), "y".repeat(131_000)], ENV, { size: 0x100000 });
		expect(search(stack)).toMatchObject({ kind: "found", ...truth(stack) });
	});

	test("without AT_RANDOM, by searching down from the path", () => {
		const stack = deadStack(["x".repeat(200_000)], ENV, { size: 0x100000 });
		const auxv = stack.auxv.map(([type, value]) => [type === 25 ? 99 : type, value] as const);
		// The vector on the stack must say the same as the note.
		for (const [i, [type]] of auxv.entries()) stack.writeWord(stack.auxvAt + 16n * BigInt(i), BigInt(type));
		expect(search(stack, { auxv })).toMatchObject({ kind: "found", ...truth(stack) });
	});
});

describe("what programs do to their stacks", () => {
	test("unsetenv of the first variables: the environment still begins where the arguments end", () => {
		const stack = deadStack(ARGS, ENV);
		const words = [0, 8, 16].map((at) => stack.bytes.readBigUInt64LE(Number(stack.envpAt - stack.start) + at));
		for (const [i, value] of [words[2] ?? 0n, 0n, 0n].entries()) stack.writeWord(stack.envpAt + 8n * BigInt(i), value);
		expect(search(stack)).toMatchObject({ kind: "found", ...truth(stack), argv: ARGS });
	});

	test("unsetenv of all of them", () => {
		const stack = deadStack(ARGS, ENV);
		for (let i = 0n; i < 3n; i++) stack.writeWord(stack.envpAt + 8n * i, 0n);
		expect(search(stack)).toMatchObject({ kind: "found", ...truth(stack) });
	});

	test("environment moved to the heap (nginx): argv tells", () => {
		const stack = deadStack(ARGS, ENV);
		for (let i = 0n; i < 3n; i++) stack.writeWord(stack.envpAt + 8n * i, 0x5555_5577_0000n + 32n * i);
		expect(search(stack)).toMatchObject({ kind: "found", ...truth(stack) });
	});

	test("argv cut to one by a NULL (nginx, postgres): argc is still found", () => {
		const stack = deadStack(ARGS, ENV);
		stack.writeWord(stack.argvAt + 8n, 0n);
		expect(search(stack)).toMatchObject({ kind: "found", ...truth(stack) });
		const last = deadStack(ARGS, ENV);
		last.writeWord(last.argvAt + 24n, 0n);
		expect(search(last)).toMatchObject({ kind: "found", ...truth(last) });
	});

	test("a title written over the arguments: envp tells, as a guess", () => {
		const stack = deadStack(ARGS, ENV);
		stack.write(stack.argStart, Buffer.alloc(Number(stack.argEnd - stack.argStart), " "));
		stack.write(stack.argStart, Buffer.from("prog: worker"));
		const found = search(stack);
		expect(found).toMatchObject({ kind: "guessed", reason: "the arguments were overwritten", ...truth(stack) });
	});

	test("a title that leaves zeros behind it, as redis writes one", () => {
		const stack = deadStack(ARGS, ENV);
		stack.write(stack.argStart, Buffer.alloc(Number(stack.envEnd - stack.argStart)));
		stack.write(stack.argStart, Buffer.from("prog"));
		const found = search(stack);
		expect(found).toMatchObject({ kind: "guessed", reason: "the arguments were overwritten", ...truth(stack) });
	});

	test("a title written over arguments and environment, both moved away: a guess in range", () => {
		const stack = deadStack(ARGS, ENV);
		for (let i = 0n; i < 3n; i++) stack.writeWord(stack.envpAt + 8n * i, 0x5555_5577_0000n);
		stack.write(stack.argStart, Buffer.alloc(Number(stack.envEnd - stack.argStart), "t"));
		const found = search(stack);
		expect(found.kind).toBe("guessed");
		inOrder(found, stack);
	});

	test("argv[0] replaced by a constant: the strings above AT_RANDOM tell where they began", () => {
		const stack = deadStack(ARGS, ENV);
		stack.writeWord(stack.argvAt, 0x5555_5555_6000n);
		const found = search(stack);
		expect(found).toMatchObject({
			kind: "guessed",
			reason: "argv[0] does not point to the stack",
			argStart: stack.argStart,
		});
		inOrder(found, stack);
	});

	test("everything below the strings overwritten: a guess in range", () => {
		const stack = deadStack(ARGS, ENV);
		const random = stack.auxv.find(([type]) => type === 25)?.[1] ?? 0n;
		stack.bytes.fill(0xff, 0, Number(random - stack.start));
		const found = search(stack);
		expect(found).toMatchObject({
			...{ kind: "guessed", reason: "the auxiliary vector is not on the stack any more" },
			...{ argStart: stack.argStart, envEnd: stack.envEnd, argv: ["/bin/prog"] },
		});
		inOrder(found, stack);
	});

	test("an argument count that is none of ours", () => {
		const stack = deadStack(ARGS, ENV);
		stack.writeWord(stack.startStack, 3n);
		const found = search(stack);
		expect(found).toMatchObject({ kind: "guessed", reason: "the argument count below the auxiliary vector is gone" });
		inOrder(found, stack);
	});
});

describe("no stack, no answer", () => {
	const stack = deadStack(ARGS, ENV);
	test.each([
		[{ auxv: [[6, 4096n]] }, "the auxiliary vector names no address on the stack"],
		[{ segments: [] }, "the stack is not in the core"],
		[{ segments: [{ start: stack.start, end: stack.end, prot: 3 }] }, "the core does not hold the top of the stack"],
	] satisfies [Partial<BuiltCore>, string][])("%#", (changes, reason) => {
		expect(search(stack, changes)).toEqual({ kind: "unknown", reason });
	});
});

/** PR_SET_MM_MAP takes what lies on the stack and is in order, whatever else. */
function inOrder(found: InitialStack, { start, end }: DeadStack): void {
	if (found.kind === "unknown") expect.fail(found.reason);
	const { startStack, argStart, argEnd, envStart, envEnd } = found;
	for (const at of [startStack, argStart, argEnd, envStart, envEnd]) expect(at >= start && at < end).toBe(true);
	expect(argStart <= argEnd && argEnd <= envStart && envStart <= envEnd).toBe(true);
}
