import { expect, test } from "vitest";
import { newestBetween, newestEcho } from "../../../../src/task/deduce/readings.ts";
import { pageAt, wordMemory } from "../../../support/clock-memory.ts";

const SECOND = 1_000_000_000n;
const AT = 0x1000n;
const places = [pageAt(AT)];
const between = (words: readonly bigint[], from = 490n * SECOND, to = 500n * SECOND) =>
	newestBetween(from, to, wordMemory([[AT, words]]), places);
const echo = (words: readonly bigint[], from?: bigint) => newestEcho(wordMemory([[AT, words]]), places, from);

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

test("an echo from before, or within a minute of a start, is none", () => {
	expect(echo([reading, 0n, ...pair(reading)], 496n * SECOND)).toBeUndefined();
	const early = 59n * SECOND + 123n;
	expect(echo([early, 0n, ...pair(early)])).toBeUndefined();
});
