import { describe, expect, test } from "vitest";
import { syscallNumbers } from "../../../src/arch/x86-64/syscalls.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import type { Clocks } from "../../../src/linux/time.ts";
import { type ClockWitnesses, clockTrace, decideClocks, secondsText } from "../../../src/understand/clocks.ts";
import { clockEvidence, clockThread, pageAt, wordMemory } from "../../support/builders/clock-memory.ts";

const SECOND = 1_000_000_000n;
const AT = 0x1000n;
const sleep = Number(syscallNumbers.get("clock_nanosleep"));
const until = 500n * SECOND + 7n;
const reading = 499n * SECOND + 900_000_123n;

const trace = (words: readonly bigint[], asleep: boolean, host?: Clocks, clock = 1n) => {
	const threads = asleep ? [clockThread(7, sleep, { di: clock, si: 1n, dx: AT })] : [];
	const dead = { memory: wordMemory([[AT, words]]), threads } as unknown as PartialTask;
	return clockTrace(dead, [pageAt(AT)], clockEvidence(dead), host);
};
const hostAt = (monotonic: bigint, boottime = monotonic): Clocks => ({ monotonic, boottime });

describe("what memory tells of the clock", () => {
	const by = "thread 7 slept in clock_nanosleep until 500.000 s";

	test("is until when a thread slept, and what had been read last before", () => {
		expect(trace([500n, 7n, reading], true)).toEqual({ until, since: reading, by });
		expect(trace([500n, 7n], true)).toEqual({ until, by });
	});

	test("is not looked into further where the host's clock agrees", () => {
		expect(trace([500n, 7n, reading], true, hostAt(499n * SECOND))).toEqual({ until, by });
		expect(trace([500n, 7n, reading], true, hostAt(5000n * SECOND))).toEqual({ until, since: reading, by });
	});

	test("is what others had read after that, where it was woken late", () => {
		const late = until + 20_000_001n;
		expect(trace([500n, 7n, reading, 0n, late], true)).toEqual({ until, since: late, by });
		// nobody is woken so late but a timer may be set so
		expect(trace([500n, 7n, reading, 0n, until + 80_000_001n], true)).toEqual({ until, since: reading, by });
	});

	test("is no time that another thread waits for", () => {
		const other = until + 20_000_001n;
		const threads = [AT, AT + 16n].map((dx, i) => clockThread(7 + i, sleep, { di: 1n, si: 1n, dx }));
		const words = [500n, 7n, 500n, other % SECOND, reading, 0n, other];
		const dead = { memory: wordMemory([[AT, words]]), threads } as unknown as PartialTask;
		expect(clockTrace(dead, [pageAt(AT)], clockEvidence(dead))).toEqual({ until, since: reading, by });
	});

	test("is by CLOCK_MONOTONIC, also where it slept by CLOCK_BOOTTIME", () => {
		const asleep = trace([500n, 7n], true, hostAt(300n * SECOND, 400n * SECOND), 7n);
		expect(asleep).toMatchObject({ until: until - 100n * SECOND });
	});

	test("is a reading that is there in two forms, where nobody slept", () => {
		const words = [reading, 0n, reading / SECOND, reading % SECOND];
		expect(trace(words, false)).toEqual({ since: reading, loose: true, by: "its memory has 499.900 s twice" });
		expect(trace([reading], false)).toBeUndefined();
	});
});

describe("the clocks of a dead process", () => {
	const decided = (witnesses: ClockWitnesses) => {
		const { clocks, finding } = decideClocks(witnesses);
		return { clocks, told: `${finding.weight} ${finding.code} ${finding.subject}: ${finding.text}` };
	};
	const origin = { boot: "this boot", offsets: hostAt(0n) };
	const host = { ...hostAt(499n * SECOND, 600n * SECOND), origin };
	const asleep = { until, by: "thread 7 slept" };
	const told = "note clock CLOCK_MONOTONIC: was at 499.000 s when the core was written, on this boot";
	const ours = { clocks: { monotonic: 499n * SECOND, boottime: 600n * SECOND, witness: "written", origin }, told };

	test("are this host's, where memory is silent or agrees", () => {
		expect(decided({ host })).toEqual(ours);
		expect(decided({ host, trace: asleep })).toEqual(ours);
		expect(decided({ host, trace: { since: reading, by: "" } })).toEqual(ours);
		expect(decided({ host, trace: { until: until + 3600n * SECOND, by: "a long sleep" } })).toEqual(ours);
	});

	const other = { ...hostAt(90_000n * SECOND), origin: { boot: "this boot", offsets: hostAt(89_501n * SECOND) } };
	const theirs = {
		clocks: { monotonic: 90_000n * SECOND, boottime: 90_000n * SECOND, witness: "written", origin: other.origin },
		told:
			"note clock CLOCK_MONOTONIC: was at 90000.000 s when the core was written, on this boot, by another clock than ours, " +
			"with which memory agrees",
	};
	const readAt = (...clocks: readonly Clocks[]) => ({
		wasRead: (clock: bigint) => clocks.some(({ monotonic }) => monotonic === clock),
	});

	test("are another's of this boot, where memory agrees with that and not with ours", () => {
		const others = [other];
		const waits = { until: 90_001n * SECOND, by: "thread 7 slept" };
		expect(decided({ host, others, trace: waits })).toEqual(theirs);
		expect(decided({ host, others, ...readAt(other) })).toEqual(theirs);
		expect(decided({ others, ...readAt(other) })).toEqual(theirs);
		// what agrees with ours is ours
		expect(decided({ host, others, trace: asleep })).toEqual(ours);
		expect(decided({ host, others, ...readAt(host, other) })).toEqual(ours);
		expect(decided({ host, others, ...readAt() })).toEqual(ours);
	});

	test("are memory's, where a loop stood days before, and nobody has read one since", () => {
		const late = { ...hostAt(90_000n * SECOND), origin };
		const loop = { since: reading, by: "a loop" };
		expect(decided({ host: late, trace: loop, ...readAt() }).clocks).toEqual({ monotonic: reading, witness: "memory" });
		expect(decided({ host: late, trace: loop, ...readAt(late) }).clocks).toMatchObject({ witness: "written" });
		// another clock was near then, and that may be chance
		expect(decided({ host: late, others: [host], trace: loop, ...readAt() }).clocks).toMatchObject({
			witness: "memory",
		});
		// one of hours is that of an idle server
		const hours = { ...hostAt(20_000n * SECOND), origin };
		expect(decided({ host: hours, trace: loop, ...readAt() }).clocks).toMatchObject({ witness: "written" });
	});

	test.each([
		["slept until a time that is past", { until: 499n * SECOND - 601n * SECOND }],
		["slept for more than a day", { until: 499n * SECOND + 86_401n * SECOND }],
		["had read a time that is yet to come", { since: 499n * SECOND + 601n * SECOND }],
	])("are memory's, where somebody %s", (_, said) => {
		expect(decided({ host: { ...host }, trace: { by: "it", ...said } }).clocks?.witness).toBe("memory");
	});

	test("are memory's, where the core is of another boot; how sure that is, is said", () => {
		expect(decided({ trace: { ...asleep, since: reading } })).toEqual({
			clocks: { monotonic: reading, witness: "memory" },
			told: "caution clock CLOCK_MONOTONIC: goes on from 499.900 s: thread 7 slept, and it had been read 0.099 s before",
		});
		expect(decided({ trace: { ...asleep, since: until + SECOND / 50n } })).toEqual({
			clocks: { monotonic: until + SECOND / 50n, witness: "memory" },
			told: "caution clock CLOCK_MONOTONIC: goes on from 500.020 s: thread 7 slept, and it had been read 0.020 s after that: it was woken late",
		});
		expect(decided({ trace: asleep })).toEqual({
			clocks: { monotonic: until - SECOND / 10n, witness: "memory" },
			told: "caution clock CLOCK_MONOTONIC: goes on from 499.900 s: thread 7 slept; how long before that it died is not known",
		});
		expect(decided({ trace: { since: reading, by: "a loop" } }).told).toBe(
			"caution clock CLOCK_MONOTONIC: goes on from 499.900 s: a loop; it may have died later",
		);
		expect(decided({ trace: { since: reading, loose: true, by: "it has it" } }).told).toBe(
			"caution clock CLOCK_MONOTONIC: goes on from 499.900 s: it has it, which may be a time that was yet to come",
		);
		expect(decided({ trace: { until: 5n, by: "at once" } }).clocks?.monotonic).toBe(0n);
	});

	test("are the donor's, where nothing else tells; else the host's as it is", () => {
		const donor = { monotonic: 70n * SECOND, boottime: 80n * SECOND, witness: "read" } as const;
		expect(decided({ donor })).toEqual({
			clocks: { ...donor, witness: "donor" },
			told: "caution clock CLOCK_MONOTONIC: goes on from 70.000 s, the donor's: nothing tells what it was; --clock SECONDS does",
		});
		expect(decided({})).toEqual({
			clocks: undefined,
			told: "caution clock CLOCK_MONOTONIC: becomes that of this host: the core is of another boot or host, and nothing in it tells what it was; --clock SECONDS does",
		});
		expect(decided({ donor, trace: asleep }).clocks?.witness).toBe("memory");
	});
});

test("seconds are told to the thousandth", () => {
	expect([0n, 1_999_999n, -1_500_000_000n, 7447n * SECOND].map(secondsText)).toEqual([
		...["0.000 s", "0.001 s", "-1.500 s", "7447.000 s"],
	]);
});
