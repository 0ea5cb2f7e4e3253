/** Chance that repeats itself: the same seed and the same number of an input give the same input. */
export interface Chance {
	/** From 0 up to, not including, `below`. */
	nat(below: number): number;
	pick<T>(items: readonly T[]): T;
}

/** Mulberry32: 32 bits of state are plenty, since each input has a state of its own. */
export function chance(seed: number, input: number): Chance {
	let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(input + 1, 0x85ebca6b)) >>> 0;
	const next = (): number => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return (mixed ^ (mixed >>> 14)) >>> 0;
	};
	const nat = (below: number): number => (below <= 0 ? 0 : next() % below);
	return {
		nat,
		pick: (items) => {
			const item = items[nat(items.length)];
			if (item === undefined) throw new RangeError("nothing to pick from");
			return item;
		},
	};
}
