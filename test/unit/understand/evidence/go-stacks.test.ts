import { describe, expect, test } from "vitest";
import { fromBuffer } from "../../../../src/bytes/source.ts";
import { readCore } from "../../../../src/core/core.ts";
import { goSignalStacks } from "../../../../src/understand/evidence/go-stacks.ts";
import { taskFromCore } from "../../../../src/understand/from-core/from-core.ts";
import { type BuiltCore, buildCore } from "../../../support/builders/core-builder.ts";
import { deduced, poke, told, withGlibc, words } from "../../../support/builders/deduced-core.ts";
import { deadCore, deadPlaces, filled, fsBaseOf, withSegment } from "../../../support/builders/pair.ts";

/*
 * What Go's runtime keeps of its threads (runtime/runtime2.go), by hand: the current g is the word at fs_base-8; a g begins with
 * the bounds of its stack and has its m at byte 48; an m begins with g0, and has the thread's id at byte 72 and gsignal at 80
 * (Go 1.2 to 1.24) or at 64 and 72 (1.25).
 */

const TIDS = [500, 501, 502];
const HEAP = 0xc0_0000_0000n;
const KIB32 = 32n << 10n;

interface Made {
	/** Where in m the id is. */
	readonly id?: number;
	/** What m says the id is. */
	ofThread?(tid: number): bigint;
	/** What gsignal says its m is; the right one by default. */
	signalsM?(m: bigint): bigint;
	/** Bounds of gsignal's stack. */
	stackOf?(n: number): readonly [low: bigint, high: bigint];
	/** The current g, by what it can be. */
	current?(gs: { readonly g0: bigint; readonly gsignal: bigint; readonly user: bigint }, n: number): bigint;
}

/** Not in the order of the threads, as a race leaves them. */
const stackAt = (n: number): bigint => HEAP + 0x4_0000n + BigInt((n * 2) % 3) * KIB32;

function withGo(made: Made = {}, core: BuiltCore = deadCore({ tids: TIDS })): BuiltCore {
	const { id = 72, ofThread = BigInt, signalsM = (m) => m, current = ({ user }) => user } = made;
	const { stackOf = (n) => [stackAt(n), stackAt(n) + KIB32] } = made;
	const heap = withSegment(core, { start: HEAP, end: HEAP + 0x10_0000n, prot: 3, bytes: filled(0, 256) });
	return TIDS.reduce((given, tid, n) => {
		const at = HEAP + BigInt(n) * 0x1000n;
		const [m, g0, gsignal, user] = [at, at + 0x400n, at + 0x600n, at + 0x800n];
		const g = (into: BuiltCore, where: bigint, low: bigint, high: bigint, of: bigint): BuiltCore =>
			poke(into, where, words(low, high, low + 0x380n, low + 0x380n, 0n, 0n, of));
		const gs = g(g(given, g0, at + 0x2000n, at + 0x4000n, m), user, at + 0x5000n, at + 0x5800n, m);
		const signals = g(gs, gsignal, ...stackOf(n), signalsM(m));
		const ms = poke(poke(signals, m, words(g0)), m + BigInt(id), words(ofThread(tid), gsignal));
		// curg, behind a word that is no id
		const curg = poke(ms, m + 0xc0n, words(0n, user));
		return poke(curg, fsBaseOf(deadPlaces, n) - 8n, words(current({ g0, gsignal, user }, n)));
	}, heap);
}

const stacksOf = (core: BuiltCore) => [...goSignalStacks(taskFromCore(readCore(fromBuffer("core", buildCore(core)))))];
const all = TIDS.map((tid, n) => [tid, { base: stackAt(n), size: KIB32, flags: 0 }]);

describe("the signal stacks of Go's threads", () => {
	test.each([
		["a goroutine runs", {}],
		["the runtime itself does", { current: ({ g0 }) => g0 }],
		["one is in a signal handler", { current: ({ gsignal, user }, n) => (n === 1 ? gsignal : user) }],
		["m is as in Go 1.25", { id: 64 }],
		["it had other ids when it began", { ofThread: (tid) => BigInt(tid) + 7000n }],
	] satisfies [string, Made][])("are those of gsignal where %s", (_, made) => {
		expect(stacksOf(withGo(made))).toEqual(all);
	});

	test("are as large as C made them where cgo found them", () => {
		const stackOf = (n: number) => [stackAt(n), stackAt(n) + 0x2000n] as const;
		expect(stacksOf(withGo({ stackOf })).map(([, { size }]) => size)).toEqual([0x2000n, 0x2000n, 0x2000n]);
	});

	test("are unknown of threads that are not Go's", () => {
		const current: Made["current"] = ({ user }, n) => (n === 2 ? 0n : user);
		expect(stacksOf(withGo({ current }))).toEqual(all.slice(0, 2));
	});
});

describe("what only looks like Go's tells nothing", () => {
	test.each([
		["gsignal is another thread's", { signalsM: (m) => m + 0x1000n }],
		["two threads have one id", { ofThread: () => 500n }],
		["ids are no ids", { ofThread: () => 0xc0_0000_0000n }],
		["the stack is nowhere", { stackOf: () => [0x1234_0000n, 0x1234_8000n] }],
		["the stack cannot be written to", { stackOf: () => [deadPlaces.libc + 0x1000n, deadPlaces.libc + 0x2000n] }],
		["the stack is smaller than any can be", { stackOf: (n) => [stackAt(n), stackAt(n) + 1024n] }],
		["the stack ends before it begins", { stackOf: (n) => [stackAt(n), stackAt(n) - KIB32] }],
	] satisfies [string, Made][])("where %s", (_, made) => {
		expect(stacksOf(withGo(made))).toEqual([]);
	});

	test("where m has them at another place in one thread", () => {
		const [first, ...others] = TIDS;
		const odd = poke(withGo(), HEAP + 72n, words(0n, 0n, BigInt(first ?? 0), HEAP + 0x600n));
		expect(others.length).toBe(2);
		expect(stacksOf(odd)).toEqual([]);
	});
});

test("a core alone is enough, and the finding says whose word it is", () => {
	const found = deduced(withGlibc(withGo()));
	expect(found.task.threads.map(({ tid, alternateStack }) => [tid, alternateStack])).toEqual(all);
	expect(told(found, "thread-deduced")).toContain(
		"note 3 threads of Go: signal stacks as Go's runtime has them (gsignal), the first at 0xc000040000-0xc000048000",
	);
});
