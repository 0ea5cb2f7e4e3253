import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { type Address, address, fileOffset, PAGE_SIZE, plus } from "../bytes/address.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import { attempt, type ByteSource } from "../bytes/source.ts";
import { textFromBytes } from "../bytes/text.ts";
import type { DraftContent, DraftSegment } from "../core/draft.ts";
import { DELETED, type MappedFile } from "../core/files.ts";
import { PROT_READ } from "../linux/mman.ts";
import { type LiveMapping, mappingsFrom } from "./smaps.ts";

/**
 * Segments and file rows of a stopped process's core, as the kernel would choose them with its default coredump_filter
 * (0x33): memory of its own and shared memory without a file; of unchanged files only the page an ELF header is on.
 *
 * @param memory its memory, from where the bytes will come.
 * @throws NecromancerError ERR_IO unless we may trace it.
 */
export function liveMemory(
	pid: number,
	memory: ByteSource,
): { readonly segments: readonly DraftSegment[]; readonly files: readonly MappedFile[] } {
	const path = `/proc/${pid}/smaps`;
	const mappings = mappingsFrom(textFromBytes(attempt(path, () => readFileSync(path))));
	const pagemap = `/proc/${pid}/pagemap`;
	const fd = attempt(pagemap, () => openSync(pagemap, "r"));
	try {
		const present = (range: Range): Range[] => attempt(pagemap, () => presentIn(fd, range));
		return {
			segments: mappings.map((mapping) => segmentOf(mapping, memory, present)),
			files: mappings.filter(({ backed }) => backed).map(fileOf),
		};
	} finally {
		closeSync(fd);
	}
}

function segmentOf(mapping: LiveMapping, memory: ByteSource, present: (range: Range) => Range[]): DraftSegment {
	const { start, end, prot, name, flags, backed } = mapping;
	const held = (fileSize: bigint, ranges: readonly Range[]): DraftSegment => ({
		...{ start, end, prot, fileSize },
		contents: ranges.map((range) => contentOf(range, memory)),
	});
	const size = end - start;
	if (name === "[vdso]") return held(size, [mapping]);
	// nobody may read them from outside, and the kernel leaves room for them all the same
	if (/^\[(?:vvar|vvar_vclock|vsyscall)\]$/.test(name)) return held(size, []);
	if (flags.includes("dd") || flags.includes("io")) return held(0n, []);
	if (mapping.shared) return name.endsWith(DELETED) ? held(size, [mapping]) : held(0n, []);
	if (mapping.own === 0n) return isElf(mapping, memory) ? held(PAGE_SIZE, [firstPage(mapping)]) : held(0n, []);
	return held(size, backed ? [mapping] : present(mapping));
}

const contentOf = (range: Range, memory: ByteSource): DraftContent => ({
	start: range.start,
	length: lengthOf(range),
	source: memory,
	offset: fileOffset(range.start),
	available: lengthOf(range),
});

const firstPage = ({ start }: Range): Range => ({ start, end: plus(start, PAGE_SIZE) });

const ELF_MAGIC = 0x7f454c46;

const isElf = ({ start, prot, offset, backed }: LiveMapping, memory: ByteSource): boolean =>
	backed &&
	offset === 0n &&
	(prot & PROT_READ) !== 0 &&
	memory.read(fileOffset(start), 4)?.readUInt32BE() === ELF_MAGIC;

const fileOf = ({ start, end, offset, name }: LiveMapping): MappedFile => {
	const unescaped = name.replaceAll("\\012", "\n");
	const deleted = unescaped.endsWith(DELETED);
	return { start, end, offset, path: deleted ? unescaped.slice(0, -DELETED.length) : unescaped, deleted };
};

/** Bit 63 of an entry of pagemap: in memory; 62: swapped out (Documentation/admin-guide/mm/pagemap.rst). */
const PRESENT = 3n << 62n;
const ENTRY = 8;
/** Pages that are asked about at once. */
const AT_ONCE = 65_536;

/** The pages of a range that a process has touched. */
function presentIn(fd: number, { start, end }: Range): Range[] {
	const found: Range[] = [];
	const buffer = Buffer.alloc(AT_ONCE * ENTRY);
	let from: Address | undefined;
	const close = (to: Address): void => {
		if (from !== undefined) found.push({ start: from, end: to });
		from = undefined;
	};
	for (let at: bigint = start; at < end; at += BigInt(AT_ONCE) * PAGE_SIZE) {
		const left = (end - at) / PAGE_SIZE;
		const pages = left < BigInt(AT_ONCE) ? Number(left) : AT_ONCE;
		const read = readSync(fd, buffer, 0, pages * ENTRY, (at / PAGE_SIZE) * BigInt(ENTRY)) / ENTRY;
		for (let page = 0; page < read; page++) {
			const here = address(at + BigInt(page) * PAGE_SIZE);
			if ((buffer.readBigUInt64LE(page * ENTRY) & PRESENT) === 0n) close(here);
			else from ??= here;
		}
	}
	close(end);
	return found;
}
