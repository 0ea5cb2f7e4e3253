import { address, type FileOffset, fileOffset, hex, isPageAligned } from "../bytes/address.ts";
import { cursor } from "../bytes/cursor.ts";
import { byStart, type Range } from "../bytes/range.ts";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import { fileNoteHead, fileNoteRow } from "../linux/elf-core.ts";
import { atMost, mostMappings } from "../linux/process-bounds.ts";
import { DELETED, withoutDeleted } from "../proc/deleted.ts";
import { rangeText } from "./segments.ts";

/** A mapping of a file, as NT_FILE lists them. */
export interface NotedFile extends Range {
	/** Bytes into the file. */
	readonly offset: FileOffset;
	/** As the kernel showed it, without its " (deleted)"; what is not UTF-8 in it as {@link textFromBytes} says. */
	readonly path: string;
	/** The file had no name any more when the process died: another may have taken the path since. */
	readonly deleted: boolean;
}

export interface FileNote {
	/** By ascending address. */
	readonly files: readonly NotedFile[];
	/** The unit of the note's offsets: 4096 in kernel cores, 1 in gdb's. */
	readonly pageSize: bigint;
}

/**
 * Reads the content of NT_FILE (fs/binfmt_elf.c, fill_files_note).
 *
 * @param subject the core, `at` where in it the note lies, `size` how many bytes it has.
 * @throws NecromancerError ERR_CORE_CORRUPT.
 */
export function readFileNote(bytes: Uint8Array, subject: string, at: FileOffset, size = 0n): FileNote {
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_CORE_CORRUPT", { subject, finding, expectation });
	const short = (wanted: number, left: number, position: number): never =>
		corrupt(`NT_FILE at ${hex(at)} has ${left} bytes left at its byte ${position}`, `expected ${wanted}`);
	const input = cursor(bytes, short);
	const { count, page_size: pageSize } = input.take(fileNoteHead);
	// Each row needs its three words and at least the NUL of its name.
	const most = Math.floor(input.remaining / (fileNoteRow.size + 1));
	if (count > BigInt(most)) {
		corrupt(`NT_FILE at ${hex(at)} claims ${count} rows`, `expected at most ${most} in its ${bytes.length} bytes`);
	}
	const rowsIn = mostMappings(size);
	if (count > BigInt(rowsIn)) corrupt(`NT_FILE at ${hex(at)} has ${count} rows`, atMost(rowsIn, size));
	const rows = cursor(input.bytes(Number(count) * fileNoteRow.size), short);
	const files = Array.from({ length: Number(count) }, (): NotedFile => {
		const { start, end, file_ofs } = rows.take(fileNoteRow);
		const range = { start: address(start), end: address(end) };
		const raw = input.untilNul();
		if (raw.length > LONGEST_NAME)
			corrupt(`NT_FILE row ${rangeText(range)} has a name of ${raw.length} bytes`, LONGEST);
		const name = textFromBytes(raw);
		if (start >= end || !isPageAligned(start) || !isPageAligned(end)) {
			corrupt(
				`NT_FILE row ${rangeText(range)} (${name}) is no range of pages`,
				"expected start below end, both aligned",
			);
		}
		const offset = file_ofs * pageSize;
		if (offset + (end - start) >= 1n << 64n) {
			corrupt(
				`NT_FILE row ${rangeText(range)} (${name}) lies at file offset ${hex(offset)}`,
				"expected one below 2^64",
			);
		}
		return { ...range, offset: fileOffset(offset), ...withoutDeleted(name) };
	});
	files.sort(byStart);
	for (const [i, next] of files.entries()) {
		const before = files[i - 1];
		if (before !== undefined && before.end > next.start) {
			corrupt(`NT_FILE rows ${rangeText(before)} and ${rangeText(next)} overlap`, "expected distinct mappings");
		}
	}
	return { files, pageSize };
}

/** The unit of the offsets in NT_FILE, as the kernel writes it. */
const UNIT = 4096n;

/** The same as bytes. `page_size` says in which unit offsets are counted: pages, unless one of them is no multiple of a page. */
export function writeFileNote({ files }: Pick<FileNote, "files">): Uint8Array {
	const unit = files.every(({ offset }) => offset % UNIT === 0n) ? UNIT : 1n;
	const rows = files.map(({ start, end, offset }) => fileNoteRow.encode({ start, end, file_ofs: offset / unit }));
	const names = files.map(({ path, deleted }) => bytesFromText(`${path}${deleted ? DELETED : ""}\0`));
	return Buffer.concat([fileNoteHead.encode({ count: BigInt(files.length), page_size: unit }), ...rows, ...names]);
}

/** Far above PATH_MAX, which bounds what a process may say and not how deep a file lies. */
const LONGEST_NAME = 65_536;
const LONGEST = `expected at most ${LONGEST_NAME}`;

/**
 * Whether a "file" is one of the kernel's own that no path ever led to: shared anonymous memory ("/dev/zero (deleted)"),
 * memfds, System V segments, huge pages, rings. Its bytes are in the core or nowhere.
 */
export const isKernelOwned = ({ path, deleted }: Pick<NotedFile, "path" | "deleted">): boolean =>
	!path.startsWith("/") || (deleted && /^\/(memfd:|SYSV[0-9a-f]{8}$|dev\/zero$|anon_hugepage$|\[aio\]$)/.test(path));

/**
 * Whether a path leads to devices or to what the kernel makes up (devtmpfs, procfs, sysfs): opening one may do something, and
 * its bytes are nobody's to bring back. Shared memory and huge pages lie under /dev too, and are files.
 */
export const isKernelPath = (path: string): boolean => /^\/(?:dev(?!\/shm\/|\/hugepages\/)|proc|sys)\//.test(path);
