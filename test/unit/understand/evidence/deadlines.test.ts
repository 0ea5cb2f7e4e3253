import { describe, expect, test } from "vitest";
import { syscallNumbers } from "../../../../src/arch/x86-64/syscalls.ts";
import { deadlinesOf } from "../../../../src/understand/evidence/deadlines.ts";
import { clockEvidence, clockThread, wordMemory } from "../../../support/builders/clock-memory.ts";

const SECOND = 1_000_000_000n;
const [AT, LATER, NEVER, WRONG] = [0x1000n, 0x2000n, 0x3000n, 0x4000n];
const memory = wordMemory([
	[AT, [500n, 7n]],
	[LATER, [600n, 8n]],
	[NEVER, [1n << 40n, 0n]],
	[WRONG, [500n, SECOND]],
]);

const [sleep, futex, waitv, wait] = ["clock_nanosleep", "futex", "futex_waitv", "futex_wait"].map((name) =>
	Number(syscallNumbers.get(name)),
) as unknown as [number, number, number, number];
const [MONOTONIC, REALTIME, BOOTTIME] = [1n, 0n, 7n];
const ABSOLUTE = 1n;
const [WAIT, WAIT_BITSET, REALTIME_FLAG, PRIVATE] = [0n, 9n, 0x100n, 0x80n];
const of = (...threads: Parameters<typeof clockThread>[]) =>
	deadlinesOf(clockEvidence({ memory, threads: threads.map((thread) => clockThread(...thread)) }).calls, memory);

describe("until when threads slept", () => {
	test.each([
		["clock_nanosleep", MONOTONIC, [sleep, { di: MONOTONIC, si: ABSOLUTE, dx: AT }]],
		["clock_nanosleep", BOOTTIME, [sleep, { di: BOOTTIME, si: ABSOLUTE, dx: AT }]],
		["futex", MONOTONIC, [futex, { si: WAIT_BITSET | PRIVATE, r10: AT }]],
		["futex_waitv", BOOTTIME, [waitv, { r10: AT, r8: BOOTTIME }]],
		["futex_wait", MONOTONIC, [wait, { r8: AT, r9: MONOTONIC }]],
	] as const)("is told by %s by clock %d", (call, clock, [number, registers]) => {
		expect(of([7, number, registers])).toEqual([{ tid: 7, call, clock: Number(clock), at: 500n * SECOND + 7n }]);
	});

	test.each([
		["that sleeps for a time", sleep, { di: MONOTONIC, si: 0n, dx: AT }],
		["that sleeps until a time of day", sleep, { di: REALTIME, si: ABSOLUTE, dx: AT }],
		["whose time is not in memory", sleep, { di: MONOTONIC, si: ABSOLUTE, dx: 0x9000n }],
		["whose time is none", sleep, { di: MONOTONIC, si: ABSOLUTE, dx: WRONG }],
		["that sleeps for ever", sleep, { di: MONOTONIC, si: ABSOLUTE, dx: NEVER }],
		["whose timeout is a duration", futex, { si: WAIT, r10: AT }],
		["that waits until a time of day", futex, { si: WAIT_BITSET | REALTIME_FLAG, r10: AT }],
		["that has no timeout", futex, { si: WAIT_BITSET, r10: 0n }],
		["that was not asleep", sleep, { di: MONOTONIC, si: ABSOLUTE, dx: AT, ax: 0n }],
		["in another call", 0, { di: MONOTONIC, si: ABSOLUTE, dx: AT }],
	])("is not told by a thread %s", (_, number, registers) => {
		expect(of([7, number, registers])).toEqual([]);
	});

	test("comes with the earliest first", () => {
		const found = of([7, sleep, { di: MONOTONIC, si: ABSOLUTE, dx: LATER }], [8, futex, { si: WAIT_BITSET, r10: AT }]);
		expect(found.map(({ tid }) => tid)).toEqual([8, 7]);
	});
});
