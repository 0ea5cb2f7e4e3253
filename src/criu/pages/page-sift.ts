import { PAGE_SIZE, plus } from "../../bytes/address.ts";
import type { Batch, PageSlot } from "./page-batch.ts";
import type { PagePlace } from "./page-run.ts";

/** Told of every run of pages that is written, ascending. */
export type Emit = (start: PagePlace, pages: number, flags: number) => void;

/** What a batch comes to, in the order of its addresses. */
export interface Sifted {
	/** What is written: views of the slot's buffer, or as many bytes of zeros. */
	readonly parts: readonly (Buffer | bigint)[];
	/** Pages left out because the mapping shows zeros there, or its file the same bytes. */
	readonly zero: number;
	readonly clean: number;
}

const PAGE = Number(PAGE_SIZE);
const zeroPage = Buffer.alloc(PAGE);

/**
 * Separates the pages that must be written from those that the mapping shows anyway. One look at a page's first word
 * settles most; the rest is one native comparison. Nothing is copied.
 */
export function sift({ pieces }: Batch, { content, baseline }: PageSlot, emit: Emit): Sifted {
	const words = wordsOf(content);
	const baseWords = baseline === undefined ? undefined : wordsOf(baseline);
	const kept = gather(content);
	let zero = 0;
	let clean = 0;
	for (const { run, at } of pieces) {
		if (at === undefined) {
			emit(run.start, Number(run.length / PAGE_SIZE), run.flags);
			kept.hole(run.length);
			continue;
		}
		const end = at + Number(run.length);
		const keep = (start: number, stop: number): void => {
			emit(plus(run.start, BigInt(start - at)), (stop - start) / PAGE, run.flags);
			kept.add(start, stop);
		};
		if (run.baseline === "nothing") keep(at, end);
		else if (run.baseline === "zero") {
			zero += keepOthers(
				at,
				end,
				keep,
				(p) => words[p >>> 2] === 0 && content.compare(zeroPage, 0, PAGE, p, p + PAGE) === 0,
			);
		} else if (baseline !== undefined && baseWords !== undefined) {
			clean += keepOthers(
				at,
				end,
				keep,
				(p) => words[p >>> 2] === baseWords[p >>> 2] && content.compare(baseline, p, p + PAGE, p, p + PAGE) === 0,
			);
		}
	}
	return { parts: kept.parts(), zero, clean };
}

/** Calls `keep` for the runs of pages that are not `same`, and counts those that are. */
function keepOthers(
	at: number,
	end: number,
	keep: (start: number, stop: number) => void,
	same: (page: number) => boolean,
): number {
	let left = 0;
	let start = -1;
	for (let page = at; page < end; page += PAGE) {
		if (same(page)) {
			left++;
			if (start >= 0) keep(start, page);
			start = -1;
		} else if (start < 0) start = page;
	}
	if (start >= 0) keep(start, end);
	return left;
}

/** Collects what is kept; runs that touch each other become one. */
function gather(content: Buffer) {
	const parts: (Buffer | bigint)[] = [];
	let from = 0;
	let to = 0;
	const close = (): void => {
		if (to > from) parts.push(content.subarray(from, to));
		from = to;
	};
	return {
		add: (start: number, stop: number): void => {
			if (start !== to) close();
			if (from === to) from = start;
			to = stop;
		},
		hole: (length: bigint): void => {
			close();
			parts.push(length);
		},
		parts: (): readonly (Buffer | bigint)[] => {
			close();
			return parts;
		},
	};
}

const wordsOf = (buffer: Buffer): Int32Array => new Int32Array(buffer.buffer, buffer.byteOffset, buffer.length >>> 2);
