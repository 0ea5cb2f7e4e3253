import { type Address, type FileOffset, fileOffset, isPageAligned, PAGE_SIZE, plus } from "../../bytes/address.ts";
import { least, type Placed } from "../../bytes/extent.ts";
import type { ByteSource } from "../../bytes/source.ts";

/** An address, or an offset in a shared object. */
export type PagePlace = Address | FileOffset;

/** A stretch of address space whose bytes lie in a row in a source. Start and length are whole pages. */
export interface PageRun extends Placed<PagePlace> {
	/** What the mapping shows where nothing is written. */
	readonly baseline: Baseline;
	/** `PE` of the pages that are written. */
	readonly flags: number;
}

/** Zeros, the bytes of the mapped file, or nothing that could be relied on: then every page is written. */
export type Baseline = "zero" | "nothing" | FileBaseline;

export interface FileBaseline {
	readonly source: ByteSource;
	/** Of the byte that the run's first byte is compared with. */
	readonly offset: FileOffset;
}

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
		const mapped = wholePages(least(length, inFile(baseline, 0n)));
		return { looked: mapped, zero: 0n, hole: 0n, beyond: length - mapped };
	}
	const looked = least(length, wholePages(run.available));
	const rest = length - looked;
	return { looked, zero: baseline === "zero" ? rest : 0n, hole: baseline === "nothing" ? rest : 0n, beyond: 0n };
}

/** Bytes of the file from `at` bytes into the run on; the rest of the last page reads as zeros. */
export const inFile = ({ source, offset }: FileBaseline, at: bigint): bigint => {
	const left = source.size - offset - at;
	return left > 0n ? left : 0n;
};

/** Bytes of the source from `at` bytes into the run on. */
export const inSource = ({ available, length }: PageRun, at: bigint): bigint => {
	const left = least(available, length) - at;
	return left > 0n ? left : 0n;
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

/** Address and place in the source of the byte `at` bytes into the run. */
export const addressIn = (run: PageRun, at: bigint): PagePlace => plus(run.start, at);
export const offsetIn = (from: { readonly offset: FileOffset }, at: bigint): FileOffset => fileOffset(from.offset + at);

const wholePages = (bytes: bigint): bigint => ((bytes + PAGE_SIZE - 1n) / PAGE_SIZE) * PAGE_SIZE;
