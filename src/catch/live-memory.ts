import type { Agent } from "../agent/agent.ts";
import { type Address, address, fileOffset, PAGE_SIZE, plus } from "../bytes/address.ts";
import { extent, type Placed, place } from "../bytes/extent.ts";
import { intersect, lengthOf, type Range } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { NotedFile } from "../core/files.ts";
import type { NewSegment } from "../core/new-core.ts";
import { ELF_MAGIC } from "../elf/file.ts";
import { PROT_READ } from "../linux/mman.ts";
import { DELETED, withoutDeleted } from "../proc/deleted.ts";
import { readSmaps, type SmapsEntry } from "../proc/smaps.ts";
import { touchedPages } from "../trace/page-scan.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";

/**
 * Segments and file rows of a stopped process's core, as the kernel would choose them with its default coredump_filter
 * (0x33): memory of its own and shared memory without a file; of unchanged files only the page an ELF header is on.
 *
 * @param memory Its memory: from there the bytes will come.
 * @throws NecromancerError ERR_IO, ERR_HOST.
 */
export async function liveMemory(
	agent: Agent,
	pid: number,
	memory: ProcessMemory,
): Promise<{ readonly segments: readonly NewSegment[]; readonly files: readonly NotedFile[] }> {
	const entries = readSmaps(pid);
	const touched = await touchedPages(
		agent,
		pid,
		entries.filter((entry) => entry.touched > 0n),
	);
	const own = touched.filter(({ ofFile, guard }) => !ofFile && !guard);
	const source = readableSource(memory);
	let next = 0;
	const ownOf = (range: Range): Range[] => {
		for (; (own[next]?.end ?? range.end) <= range.start; ) next++;
		const found: Range[] = [];
		for (let i = next; i < own.length; i++) {
			const pages = own[i];
			const part = pages && intersect(pages, range);
			if (part === undefined) break;
			found.push(part);
		}
		return found;
	};
	return {
		segments: entries.map((entry) => segmentOf(entry, ownOf(entry), source)),
		files: entries.filter(({ inode }) => inode !== 0n).map(fileOf),
	};
}

/** Pages that cannot be read (guards, beyond the end of a mapped file) are zeros: the kernel leaves holes for them. */
function readableSource({ source, peek }: ProcessMemory): ByteSource {
	return {
		name: source.name,
		size: source.size,
		read: (offset, length) => {
			const whole = peek(address(offset), length);
			if (whole !== undefined) return whole;
			const pieces: Buffer[] = [];
			for (let at: bigint = offset; at < offset + BigInt(length); ) {
				const left = offset + BigInt(length) - at;
				const inPage = PAGE_SIZE - (at % PAGE_SIZE);
				const count = Number(inPage < left ? inPage : left);
				pieces.push(peek(address(at), count) ?? Buffer.alloc(count));
				at += BigInt(count);
			}
			return Buffer.concat(pieces);
		},
		close: () => {},
	};
}

/** @param own Its private pages: those that differ from the file. */
function segmentOf(entry: SmapsEntry, own: readonly Range[], memory: ByteSource): NewSegment {
	const { start, end, prot, name, flags, inode } = entry;
	const held = (fileSize: bigint, ranges: readonly Range[]): NewSegment => ({
		...{ start, end, prot, fileSize },
		contents: ranges.map((range) => contentOf(range, memory)),
	});
	const size = end - start;
	if (name === "[vdso]") return held(size, [entry]);
	// unreadable from outside; the kernel's cores have segments of zeros for them
	if (/^\[(?:vvar|vvar_vclock|vsyscall)\]$/.test(name)) return held(size, []);
	if (flags.has("dd") || flags.has("io")) return held(0n, []);
	if (entry.shared) return name.endsWith(DELETED) ? held(size, [entry]) : held(0n, []);
	if (own.length === 0) return isElf(entry, memory) ? held(PAGE_SIZE, [firstPage(entry)]) : held(0n, []);
	return held(size, inode === 0n ? own : [entry]);
}

const contentOf = (range: Range, memory: ByteSource): Placed<Address> =>
	place(range.start, extent(memory, range.start, lengthOf(range)));

const firstPage = ({ start }: Range): Range => ({ start, end: plus(start, PAGE_SIZE) });

const isElf = ({ start, prot, offset, inode }: SmapsEntry, memory: ByteSource): boolean =>
	inode !== 0n &&
	offset === 0n &&
	(prot & PROT_READ) !== 0 &&
	memory.read(fileOffset(start), 4)?.readUInt32BE() === ELF_MAGIC;

const fileOf = ({ start, end, offset, name }: SmapsEntry): NotedFile => ({
	start,
	end,
	offset,
	...withoutDeleted(name),
});
