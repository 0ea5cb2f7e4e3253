import { join } from "node:path";
import { PAGE_SIZE } from "../../bytes/address.ts";
import { least } from "../../bytes/extent.ts";
import { type ByteSink, createFile } from "../../bytes/sink.ts";
import { refuse } from "../../errors.ts";
import { type Batch, batchesOf, fill, type PageSlot } from "./page-batch.ts";
import { type PageFile, pageFile } from "./page-file.ts";
import { checkRuns, cutRun, type PageRun, partsOf } from "./page-run.ts";
import { sift } from "./page-sift.ts";
import { createPagemap, type PagemapWriter } from "./pagemap-writer.ts";

export type { Baseline, PageRun } from "./page-run.ts";

/** One pagemap and the file of pages it describes. */
export interface PagesPlan {
	/** File name, `pages-N.img`, where N is `pagesId`. */
	readonly pages: string;
	/** File name. */
	readonly pagemap: string;
	/** Whose memory it is. A task's pagemap needs one entry at least: criu's child dies of an empty one. */
	readonly kind: "task" | "shared-object";
	readonly pagesId: number;
	/** Ascending, disjoint. */
	readonly runs: readonly PageRun[];
}

/** What became of the pages of a plan. Counts are pages. */
export interface WrittenPages {
	readonly pages: number;
	/** Size of the file of pages, holes included. */
	readonly bytes: number;
	/** Records of the pagemap. */
	readonly entries: number;
	/** Left out: the mapping shows zeros there anyway. */
	readonly zero: number;
	/** Left out: equal to the mapped file. */
	readonly clean: number;
	/** Dropped: they begin behind the end of the mapped file, where there is only SIGBUS. */
	readonly beyondFile: number;
}

/** What is left on disk if we are killed during a write. We hold the directories open. */
export type LeftOver =
	/** A directory with files in it, `entry` of `around`, until it has another name; with nothing in it before it is `made`. */
	| {
			readonly kind: "directory";
			readonly around: { readonly fd: number };
			readonly entry: string;
			readonly made?: { readonly dev: bigint; readonly ino: bigint };
	  }
	/** A file. */
	| { readonly kind: "lock"; readonly directory: { readonly fd: number }; readonly lock: string }
	/**
	 * The same, with a staging directory (install.ts) in a directory that had no images: removed, or finished once the journal
	 * exists.
	 */
	| { readonly kind: "installation"; readonly directory: { readonly fd: number }; readonly lock: string };

/** Options of all writers of image directories. */
export interface WriteOptions {
	/** Waits for the disk, so that the outcome survives a loss of power too. */
	readonly sync?: boolean;
	/** Told how many bytes of the sources were dealt with since the last call. */
	readonly progress?: (bytes: bigint) => void;
	/** Asked when all is written, before it takes its place: throws where the sources are not what they were. */
	readonly requireUnchanged?: () => void;
	/** Ends the work: what was written is removed, and the signal's reason thrown. */
	readonly signal?: AbortSignal;
	/** Called with what to remove if we are killed, before it is created and whenever it changes. */
	readonly leaving?: (left: LeftOver) => Promise<void>;
}

/** Bytes of a slot. Measured: a quarter of it costs a fifth of the speed, twice as much gains nothing. */
const SLOT = 2 << 20;
/** Batches that are read while one is looked at and written. Measured on zeros: the second one saves a fifth. */
const AHEAD = 2;

/** Bytes that `writePages` will report as progress, altogether. */
export const workOf = ({ runs }: PagesPlan): bigint =>
	runs.reduce((sum, run) => sum + least(run.available, partsOf(run).looked), 0n);

/**
 * Writes the pages that a plan's mappings do not show by themselves, and their pagemap, as two new files. The next
 * batches are read while one is looked at and written; memory is a few buffers and the runs.
 *
 * Holes of a sparse source are read like zeros, which takes about the time that reading bytes from the page cache does;
 * whoever knows them leaves them out of `available`.
 *
 * @throws NecromancerError ERR_IO; ERR_CORE_TRUNCATED and ERR_BINARY_MISMATCH when a source ends before its bytes;
 * ERR_CORE_CORRUPT when a task has no page that could be written.
 */
export async function writePages(
	directory: string,
	plan: PagesPlan,
	options: WriteOptions = {},
): Promise<WrittenPages> {
	checkRuns(plan.runs);
	const pages = createFile(join(directory, plan.pages), plan.pages);
	try {
		const pagemap = createPagemap(join(directory, plan.pagemap), plan.pagemap, plan.pagesId);
		try {
			const sifted = await writeAll(plan, pages, pagemap, options);
			if (options.sync) pages.sync();
			pagemap.finish(options.sync ?? false);
			const beyond = plan.runs.reduce((sum, run) => sum + partsOf(run).beyond, 0n);
			return {
				pages: pagemap.pages,
				bytes: pagemap.pages * Number(PAGE_SIZE),
				entries: pagemap.entries,
				...sifted,
				beyondFile: Number(beyond / PAGE_SIZE),
			};
		} finally {
			pagemap.close();
		}
	} finally {
		pages.close();
	}
}

/** Pages that were left out, as in WrittenPages. */
interface PagesLeft {
	readonly zero: number;
	readonly clean: number;
}

async function writeAll(
	plan: PagesPlan,
	pages: ByteSink,
	pagemap: PagemapWriter,
	options: WriteOptions,
): Promise<PagesLeft> {
	const poured = await pourAll(plan, pages, pagemap, options);
	if (poured) return { zero: 0, clean: 0 };
	const output = pageFile(pages);
	const { zero, clean } = await stream(plan.runs, pagemap, output, options);
	if (pagemap.entries > 0 || plan.kind === "shared-object") {
		output.finish();
		return { zero, clean };
	}
	const run = firstWritable(plan);
	await stream([{ ...cutRun(run, 0n, PAGE_SIZE), baseline: "nothing" }], pagemap, output, {});
	output.finish();
	return typeof run.baseline === "object" ? { zero, clean: clean - 1 } : { zero: zero - 1, clean };
}

/** Writes all pages of the runs, unseen, where they are memory of one living process. */
async function pourAll(
	{ runs }: PagesPlan,
	pages: ByteSink,
	pagemap: PagemapWriter,
	{ progress, signal }: WriteOptions,
): Promise<boolean> {
	const source = runs[0]?.source;
	if (source?.pour === undefined) return false;
	if (runs.some((run) => run.source !== source || typeof run.baseline === "object" || run.available < run.length))
		return false;
	for (const run of runs) pagemap.add(run.start, Number(run.length / PAGE_SIZE), run.flags);
	await source.pour(runs, { fd: pages.fd, name: pages.name, progress, signal });
	return true;
}

/** The run whose first page is written when no page would be: not one behind the end of its file. */
function firstWritable({ runs, pagemap }: PagesPlan): PageRun {
	const run = runs.find((candidate) => partsOf(candidate).beyond < candidate.length);
	if (run !== undefined) return run;
	return refuse("ERR_CORE_CORRUPT", {
		subject: pagemap,
		finding: "the dead process has no private memory",
		expectation: "expected at least one page",
	});
}

/** Reads, sifts and writes all pages of the runs, in order. */
async function stream(
	runs: readonly PageRun[],
	pagemap: PagemapWriter,
	output: PageFile,
	{ progress, signal }: WriteOptions,
): Promise<PagesLeft> {
	const looked = runs.reduce((sum, run) => sum + partsOf(run).looked, 0n);
	const capacity = Number(least(BigInt(SLOT), looked));
	const batches = batchesOf(runs, capacity);
	const idle = Array.from({ length: AHEAD + 1 }, () => slotOf(capacity));
	const filling: Promise<FilledPages>[] = [];
	let zero = Number(runs.reduce((sum, run) => sum + partsOf(run).zero, 0n) / PAGE_SIZE);
	let clean = 0;
	const readAhead = (): void => {
		for (let slot = idle.pop(); slot !== undefined; slot = idle.pop()) {
			const { value: batch } = batches.next();
			if (!batch) break;
			const next = fillSlot(batch, slot);
			next.catch(() => {}); // met when its turn comes, or not at all when one before it fails
			filling.push(next);
		}
	};
	try {
		readAhead();
		for (let next = filling.shift(); next !== undefined; next = filling.shift()) {
			const { batch, slot } = await next;
			signal?.throwIfAborted();
			const sifted = sift(batch, slot, pagemap.add);
			output.write(sifted.parts);
			zero += sifted.zero;
			clean += sifted.clean;
			idle.push(slot);
			readAhead();
			progress?.(bytesOf(batch));
		}
	} finally {
		await Promise.allSettled(filling); // over before their buffers and files go
	}
	return { zero, clean };
}

interface FilledPages {
	readonly batch: Batch;
	readonly slot: PageSlot;
}

async function fillSlot(batch: Batch, slot: PageSlot): Promise<FilledPages> {
	await fill(batch, slot);
	return { batch, slot };
}

const slotOf = (capacity: number): PageSlot => ({ content: Buffer.allocUnsafeSlow(capacity), baseline: undefined });

const bytesOf = ({ pieces }: Batch): bigint =>
	pieces.reduce((sum, { run, at }) => sum + (at === undefined ? 0n : run.available), 0n);
