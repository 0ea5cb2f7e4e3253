/** Who tells something of a dead process, in the order in which they are believed: see {@link believed}. */
export const witnesses = [
	/** Its core says so: a note, or memory that has a fixed place. */
	"core",
	/** It follows from what the core holds, from files that it had mapped, from this host's clocks. */
	"evidence",
	/** The same program was seen alive, and had it so; addresses are moved. */
	"donor",
	/** What a new process has, or most have. */
	"default",
] as const;

export type Witness = (typeof witnesses)[number];

/** An answer, and whose it is: what is to be said of it follows from that. */
export interface Told<T> {
	readonly value: T;
	readonly by: Witness;
}

/** What each witness answers; `undefined` for nothing. There is always a default. */
export type Testimony<T> = { readonly [W in Exclude<Witness, "default">]?: (() => T | undefined) | undefined } & {
	readonly default: () => T;
};

/** Asks one witness after the other until one of them answers. */
export function believed<T>(testimony: Testimony<T>): Told<T> {
	for (const by of witnesses) {
		const value = testimony[by]?.();
		if (value !== undefined) return { value, by };
	}
	return { value: testimony.default(), by: "default" };
}
