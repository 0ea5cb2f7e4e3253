import { address } from "../../bytes/address.ts";
import { type Range, rangeAt } from "../../bytes/range.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { pieces } from "./search.ts";

/*
 * Programs store readings of the clock, as `struct timespec` or as one number of nanoseconds. Any memory holds hundreds of
 * numbers that look like readings; two searches with few false hits follow.
 */

const SECOND = 1_000_000_000n;

/** Multiples of this are no readings; of true readings one in a thousand is lost. */
const ROUND = 1000;

/** folklore: nor is the nanosecond before a round time: Emacs 28 stores 99999999.999999999 s for "never". */
const JUST_BEFORE = ROUND - 1;

/** Of a number in two halves; as one it may be beyond 2^53. */
const isRound = (high: number, low: number): boolean => ((high % ROUND) * (2 ** 32 % ROUND) + low) % ROUND === 0;

/**
 * The latest reading between two times, both exclusive: in a narrow range few numbers are there by chance.
 *
 * @param awaited Times that are known to have been waited for: none of them is a reading.
 */
export function newestBetween(
	from: bigint,
	to: bigint,
	memory: PartialMemory,
	places: readonly Range[],
	awaited: ReadonlySet<bigint> = new Set(),
): bigint | undefined {
	const [first, last] = [Number(from / SECOND), Number(to / SECOND)];
	const [lowest, highest] = [Number(from >> 32n), Number(to >> 32n)];
	let newest: bigint | undefined;
	const take = (value: bigint): void => {
		if (value > from && value < to && (newest === undefined || value > newest) && !awaited.has(value)) newest = value;
	};
	for (const { words } of pieces(memory, places))
		for (let i = 0; i + 1 < words.length; i += 2) {
			const [low = 0, high = 0] = [words[i], words[i + 1]];
			if (high === 0 && low >= first && low <= last) {
				const rest = nanosecondsAt(words, i + 2);
				if (rest !== undefined) take(BigInt(low) * SECOND + BigInt(rest));
			}
			if (high < lowest || high > highest || isRound(high, low)) continue;
			const value = (BigInt(high) << 32n) | BigInt(low);
			// addresses are of that size on a host that has been up for a day or two
			if (rangeAt(memory.mappings, address(value)) === undefined) take(value);
		}
	return newest;
}

/** How long before its death a program that reads the clock has read it, nanoseconds. */
const LATELY = 60n * SECOND;

/** How many windows of the future, each as long, and how far away the first is, nanoseconds: no timer is set so late. */
const FUTURES = 16;
const FUTURE = 7200n * SECOND;

/** Earlier clock values look like any small number, nanoseconds. */
const YOUNG = 3600n * SECOND;

/**
 * Whether memory holds readings from shortly before `at`. Numbers look like readings by chance, so there must be at least two
 * more than in any of the equally long ranges after `at`.
 */
export function wasReadLately(at: bigint, memory: PartialMemory, places: readonly Range[]): boolean {
	if (at < YOUNG) return false;
	const windows = new Array<number>(FUTURES + 1).fill(0);
	const from = at - LATELY;
	const to = at + FUTURE + LATELY * BigInt(FUTURES);
	const count = (value: bigint): void => {
		if (value <= from || value >= to) return;
		const window = value <= at ? 0 : value < at + FUTURE ? -1 : 1 + Number((value - at - FUTURE) / LATELY);
		if (window >= 0) windows[window] = (windows[window] ?? 0) + 1;
	};
	const seen = new Set<bigint>();
	const [first, last] = [Number(from / SECOND), Number(to / SECOND)];
	const [lowest, highest] = [Number(from >> 32n), Number(to >> 32n)];
	for (const { words } of pieces(memory, places))
		for (let i = 0; i + 1 < words.length; i += 2) {
			const [low = 0, high = 0] = [words[i], words[i + 1]];
			let value: bigint | undefined;
			if (high === 0 && low >= first && low <= last) {
				const rest = nanosecondsAt(words, i + 2);
				if (rest !== undefined && rest >= LEAST_REST) value = BigInt(low) * SECOND + BigInt(rest);
			} else if (high >= lowest && high <= highest && !isRound(high, low)) {
				value = (BigInt(high) << 32n) | BigInt(low);
				if (rangeAt(memory.mappings, address(value)) !== undefined) value = undefined;
			}
			if (value === undefined || seen.has(value) || seen.size >= MOST_PAIRS) continue;
			seen.add(value);
			count(value);
		}
	const [past = 0, ...futures] = windows;
	return past > 1 + Math.max(...futures);
}

/** Two small numbers beside each other are no seconds and nanoseconds: of true readings one in a thousand is lost. */
const LEAST_REST = 1_000_000;

/** The second half of a `struct timespec` that was read; nothing where there is none. */
function nanosecondsAt(words: Uint32Array, index: number): number | undefined {
	const [low = 0, high = 1] = [words[index], words[index + 1]];
	if (high !== 0 || low >= 1_000_000_000) return undefined;
	return low % ROUND === 0 || low % ROUND === JUST_BEFORE ? undefined : low;
}

/** Seconds that are taken for a reading: a host is up for a minute before anything dies on it, and for less than 34 years. */
const [LEAST, MOST] = [60, 2 ** 30];

/** Different ones that are remembered: hostile memory may be full of them. */
const MOST_PAIRS = 262_144;

/**
 * The latest time that memory holds in both forms, as `struct timespec` and as one number, which does not happen by chance. It
 * may be a future deadline.
 *
 * @param from Earlier ones are not looked for, nanoseconds.
 */
export function newestInBothForms(memory: PartialMemory, places: readonly Range[], from = 0n): bigint | undefined {
	const least = Math.max(LEAST, Number(from / SECOND));
	// by their upper halves
	const pairs = new Map<number, Set<number>>();
	let count = 0;
	for (const { words } of pieces(memory, places))
		for (let i = 0; i + 3 < words.length && count < MOST_PAIRS; i += 2) {
			const seconds = words[i] ?? 0;
			if (words[i + 1] !== 0 || seconds < least || seconds >= MOST) continue;
			const rest = nanosecondsAt(words, i + 2);
			if (rest === undefined) continue;
			const value = BigInt(seconds) * SECOND + BigInt(rest);
			const high = Number(value >> 32n);
			const lows = pairs.get(high) ?? new Set();
			pairs.set(high, lows.add(Number(value & 0xffff_ffffn)));
			count += 1;
		}
	let newest: bigint | undefined;
	if (count === 0) return undefined;
	for (const { words } of pieces(memory, places))
		for (let i = 0; i + 1 < words.length; i += 2) {
			const [low = 0, high = 0] = [words[i], words[i + 1]];
			if (pairs.get(high)?.has(low) !== true) continue;
			const value = (BigInt(high) << 32n) | BigInt(low);
			if (newest === undefined || value > newest) newest = value;
		}
	return newest;
}
