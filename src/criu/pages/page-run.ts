import { type Address, type FileOffset, isPageAligned, pagesUp } from "../../bytes/address.ts";
import { cut, cutPlaced, type Extent, least, type Placed } from "../../bytes/extent.ts";

/** An address, or an offset in a shared object. */
export type PagePlace = Address | FileOffset;

/** Address space whose bytes lie in a row in a source. Start and length are whole pages. */
export interface PageRun extends Placed<PagePlace> {
	/** What the mapping shows where nothing is written. */
	readonly baseline: Baseline;
	/** `PE` of the pages that are written. */
	readonly flags: number;
}

/**
 * Zeros; the bytes of the mapped file, as many as the run's and as far as the file goes; or nothing that could be relied on:
 * then every page is written.
 */
export type Baseline = "zero" | "nothing" | Extent;

/** How a run falls into bytes to look at, and a rest that is decided without looking. All in bytes, whole pages. */
export interface RunParts {
	/** From the start on. */
	readonly looked: bigint;
	/** Behind it, zeros of a mapping that shows zeros. */
	readonly zero: bigint;
	/** Behind it, zeros to be written. */
	readonly hole: bigint;
	/** Behind it, pages that begin past the end of the mapped file, where nothing can be read or written. */
	readonly beyond: bigint;
}

export function partsOf(run: PageRun): RunParts {
	const { length, baseline } = run;
	if (typeof baseline === "object") {
		const mapped = least(length, pagesUp(baseline.available));
		return { looked: mapped, zero: 0n, hole: 0n, beyond: length - mapped };
	}
	const looked = least(length, pagesUp(run.available));
	const rest = length - looked;
	return { looked, zero: baseline === "zero" ? rest : 0n, hole: baseline === "nothing" ? rest : 0n, beyond: 0n };
}

/** The part of a run from `from` up to, not including, `to`: itself where that is all of it. */
export const cutRun = (run: PageRun, from: bigint, to: bigint): PageRun =>
	from === 0n && to === run.length
		? run
		: {
				...cutPlaced(run, from, to),
				baseline: typeof run.baseline === "object" ? cut(run.baseline, from, to) : run.baseline,
				flags: run.flags,
			};

/** @throws RangeError when the runs are not page aligned, ascending and disjoint: a bug of the caller. */
export function checkRuns(runs: readonly PageRun[]): void {
	let end = 0n;
	for (const { start, length } of runs) {
		const at = `the run at 0x${start.toString(16)}`;
		if (!isPageAligned(start) || !isPageAligned(length)) throw new RangeError(`${at} is not page aligned`);
		if (length <= 0n) throw new RangeError(`${at} is empty`);
		if (start < end) throw new RangeError(`${at} starts before 0x${end.toString(16)}, where the one before it ends`);
		end = start + length;
	}
}
