import { expect, test } from "vitest";
import { newestBetween, newestInBothForms, wasReadLately } from "../../../../src/understand/evidence/clock-readings.ts";
import { pageAt, wordMemory } from "../../../support/builders/clock-memory.ts";

const SECOND = 1_000_000_000n;
const AT = 0x1000n;
const places = [pageAt(AT)];
const between = (words: readonly bigint[], from = 490n * SECOND, to = 500n * SECOND) =>
	newestBetween(from, to, wordMemory([[AT, words]]), places);
const echo = (words: readonly bigint[], from?: bigint) => newestInBothForms(wordMemory([[AT, words]]), places, from);

const pair = (nanoseconds: bigint): bigint[] => [nanoseconds / SECOND, nanoseconds % SECOND];
const reading = 495n * SECOND + 123_456_789n;

test("the newest reading between two times is one number, or seconds and nanoseconds", () => {
	expect(between([0n, reading, 0n])).toBe(reading);
	expect(between(pair(reading))).toBe(reading);
	expect(between([...pair(reading - 1n), reading, 0n, ...pair(reading - SECOND)])).toBe(reading);
});

test("the two times themselves are none, nor is what lies outside", () => {
	const [from, to] = [reading, reading + 5n];
	expect(between([from, to, from - 1n, to + 1n, ...pair(from), ...pair(to)], from, to)).toBeUndefined();
	expect(between([from + 1n], from, to)).toBe(from + 1n);
});

test("a round number is none, nor a number of nanoseconds that is too large", () => {
	expect(between([495n * SECOND, ...pair(495n * SECOND + 1000n), 495n, SECOND])).toBeUndefined();
});

test("an address that is mapped is none", () => {
	const memory = wordMemory([[AT, [reading]]]);
	const page = pageAt(reading & ~0xfffn);
	const mapped = { ...memory, mappings: [page] as unknown as typeof memory.mappings };
	expect(newestBetween(490n * SECOND, 500n * SECOND, mapped, places)).toBeUndefined();
});

test("an echo is a time that is there both ways, the newest of them", () => {
	expect(echo([reading, 0n, ...pair(reading)])).toBe(reading);
	const later = reading + 77n;
	expect(echo([reading, 0n, ...pair(reading), 0n, ...pair(later), later])).toBe(later);
	expect(echo([reading, 0n, ...pair(later)])).toBeUndefined();
	expect(echo([])).toBeUndefined();
});

test("an echo of the last nanosecond before a round time is none: that is somebody's never", () => {
	const never = 10n ** 17n - 1n;
	expect(echo([never, 0n, ...pair(never)])).toBeUndefined();
	expect(echo([never, 0n, ...pair(never), reading, 0n, ...pair(reading)])).toBe(reading);
});

test("an echo from before, or within a minute of a start, is none", () => {
	expect(echo([reading, 0n, ...pair(reading)], 496n * SECOND)).toBeUndefined();
	const early = 59n * SECOND + 123n;
	expect(echo([early, 0n, ...pair(early)])).toBeUndefined();
});

test("a clock was read lately where memory has more readings of its last minute than of other times", () => {
	const at = 100_000n * SECOND;
	const lately = (words: readonly bigint[]) => wasReadLately(at, wordMemory([[AT, words]]), places);
	const [one, two] = [at - 3n * SECOND - 654_321n, at - 7n * SECOND - 123_456_789n];
	expect(lately([one, 0n, ...pair(two)])).toBe(true);
	// one number may be anything, and the same again is no second
	expect(lately([one, 0n, ...pair(one)])).toBe(false);
	// two are too long ago, rounded, or small numbers beside each other
	expect(lately([one, two - 60n * SECOND])).toBe(false);
	expect(lately([one, (two / 1000n) * 1000n])).toBe(false);
	expect(lately([one, 0n, 99_990n, 123_457n])).toBe(false);
	// as many of a minute that was yet to come, when nobody had read any
	const yetToCome = at + 7200n * SECOND + 1_234_567n;
	expect(lately([one, two, yetToCome])).toBe(false);
	expect(lately([one, two, two - 1n, yetToCome])).toBe(true);
	// timers are set for later
	expect(lately([one, two, at + 5n * SECOND + 1n, at + 300n * SECOND + 1n])).toBe(true);
});
