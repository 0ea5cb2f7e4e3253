import type { Address } from "../../bytes/address.ts";
import { least, type Placed } from "../../bytes/extent.ts";
import { lengthOf, type Range } from "../../bytes/range.ts";
import { AT_FDCWD } from "../../linux/fcntl.ts";
import { iovec } from "../../linux/io.ts";
import { MADV } from "../../linux/mman.ts";
import { O } from "../../linux/open.ts";
import { CLONE, CLONE_AS_THREAD, cloneArgs } from "../../linux/sched.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import { cloneArgsOf } from "../clone-args.ts";
import type { Context } from "../context.ts";
import type { ListDraft } from "../part.ts";
import { chunkOf, HUGE_PAGE, type PlannedRead, readsOf, type Spacious } from "./read-plan.ts";

/** Below this a second reader costs more than it saves. */
const WORTH_SHARING = 64n << 20n;

/** Page faults, not copying, cost the time, and readers of one address space get into each other's way over them. */
const MOST_READERS = 4;

/** A filler's stack; the blob needs a few hundred bytes of it. */
const STACK_SIZE = 8192;

/**
 * Fills memory that is mapped and writable. Page faults, not copying, cost the time, so the pages of large pieces are made
 * beforehand. Where huge ones will do, one byte is put into each, MADV_COLLAPSE makes the pages huge, and the read that
 * follows meets no fault: as fast as MADV_HUGEPAGE, and it leaves no flag on the mapping. Elsewhere MADV_POPULATE_WRITE
 * makes small ones. A kernel that will not costs time only.
 *
 * @param contents Bytes that their sources have.
 * @param spacious Sorted, without overlaps.
 * @param pid Of the process that is filled: it waits for its fillers.
 */
export function addFill(
	contents: readonly Placed<Address>[],
	spacious: readonly Spacious[],
	pid: number,
	context: Context,
): void {
	if (contents.length === 0) return;
	const { draft, facts } = context;
	const leader = draft.leader;
	const total = totalOf(contents);
	const reads = readsOf(contents, spacious, chunkOf(total));
	const readers = total < WORTH_SHARING ? 1 : Math.min(facts.processors, MOST_READERS);
	const [own = [], ...others] = sharesOf(reads, total, readers);
	const fillers = others.map((share, i) => spawnFiller(i + 1, share, context));
	for (const read of own) addRead(leader, read, context);
	for (const { number, tid, running } of fillers) {
		leader.add("fill", "await", [running, 0n], `wait until filler ${number} is done`);
		leader.add(
			"fill",
			"tgkill",
			[context.ids.arg(pid), { valueOf: tid }, 0n],
			"wait until its thread id is free again",
			{
				expect: "until-error",
			},
		);
	}
}

/** The same by the process alone. */
export function addReads(contents: readonly Placed<Address>[], spacious: readonly Spacious[], context: Context): void {
	for (const read of readsOf(contents, spacious, chunkOf(totalOf(contents))))
		addRead(context.draft.leader, read, context);
}

const totalOf = (contents: readonly Placed<Address>[]): bigint =>
	contents.reduce((sum, { length }) => sum + length, 0n);

interface Filler {
	readonly number: number;
	readonly tid: Place;
	/** The kernel writes 0 here when it ends. */
	readonly running: Place;
}

function spawnFiller(number: number, share: readonly PlannedRead[], context: Context): Filler {
	const { draft, reportTarget, facts } = context;
	const name = `filler ${number}`;
	const list = draft.list(name);
	for (const read of share) addRead(list, read, context);
	const running = cellDatum(`whether ${name} runs`);
	const tid = cellDatum(`thread id of ${name}`);
	const args = cloneArgsOf({
		name,
		flags: CLONE_AS_THREAD | CLONE.PARENT_SETTID | CLONE.CHILD_CLEARTID,
		running,
		stackSize: STACK_SIZE,
	});
	draft.leader.add(
		"fill",
		facts.clone3 === false ? "clone" : "spawn",
		[args, BigInt(cloneArgs.size), reportTarget, { list: name }],
		"a second pair of hands",
		{
			save: tid,
		},
	);
	return { number, tid, running };
}

function addRead(list: ListDraft, { bytes, places, pages }: PlannedRead, { inputs }: Context): void {
	const { source, offset, length } = bytes;
	const [first] = places;
	if (first === undefined) return;
	const fd = { input: inputs.source(source) };
	const advise = (advice: number, why: string): void =>
		list.add("fill", "madvise", [first.start, length, BigInt(advice)], why, { expect: "anything" });
	if (pages === "huge") {
		const count = length / HUGE_PAGE;
		const touched = Array.from({ length: Number(count) }, (_, i): Range<bigint> => {
			const start = first.start + BigInt(i) * HUGE_PAGE;
			return { start, end: start + 1n };
		});
		const touches = bytesDatum(`a byte of each of ${count} huge pages`, iovecsOf(touched));
		list.add("fill", "preadv", [fd, touches, count, offset, 0n], "touch what becomes huge pages", {
			expect: { exactly: count },
		});
		advise(MADV.COLLAPSE, "huge pages, if the kernel has them");
	}
	if (pages === "small") advise(MADV.POPULATE_WRITE, "all its pages at once, if the kernel can");
	if (places.length === 1)
		list.add("fill", "pread64", [fd, first.start, length, offset], `fill ${length} bytes`, {
			expect: { exactly: length },
		});
	else {
		const vector = bytesDatum(`${places.length} places in memory`, iovecsOf(places));
		list.add(
			"fill",
			"preadv",
			[fd, vector, BigInt(places.length), offset, 0n],
			`fill ${length} bytes in ${places.length} places`,
			{ expect: { exactly: length } },
		);
	}
}

function iovecsOf(ranges: readonly Range<bigint>[]): Uint8Array {
	const bytes = new Uint8Array(ranges.length * iovec.size);
	const view = new DataView(bytes.buffer);
	for (const [i, range] of ranges.entries())
		iovec.write(view, i * iovec.size, { iov_base: range.start, iov_len: lengthOf(range) });
	return bytes;
}

/** Consecutive reads of about equal size for each of `count` readers. */
function sharesOf(reads: readonly PlannedRead[], total: bigint, count: number): PlannedRead[][] {
	const shares: PlannedRead[][] = [[]];
	let done = 0n;
	for (const read of reads) {
		if (done >= (total * BigInt(shares.length)) / BigInt(count)) shares.push([]);
		shares.at(-1)?.push(read);
		done += read.bytes.length;
	}
	return shares;
}

/** The most that a read writes of /dev/zero's endless bytes at once. */
const MOST_ZEROS = 1n << 30n;

/** Zeros over file bytes: where a core was cut short or a page reached beyond what was saved. */
export function addBlanks(blanks: readonly Range[], { draft }: Context): void {
	if (blanks.length === 0) return;
	const leader = draft.leader;
	const zero = cellDatum("descriptor of /dev/zero");
	const path = pathDatum("path of /dev/zero", "/dev/zero");
	leader.add("fill", "openat", [AT_FDCWD, path, BigInt(O.RDONLY | O.CLOEXEC)], "zeros", { save: zero });
	for (const blank of blanks)
		for (let done = 0n; done < lengthOf(blank); done += MOST_ZEROS) {
			const length = least(lengthOf(blank) - done, MOST_ZEROS);
			leader.add("fill", "read", [{ valueOf: zero }, blank.start + done, length], "zeros where the file has bytes", {
				expect: { exactly: length },
			});
		}
	leader.add("fill", "close", [{ valueOf: zero }], "the zeros are in place");
}
