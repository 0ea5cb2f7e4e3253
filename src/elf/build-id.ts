import type { ByteSource } from "../bytes/source.ts";
import { fromBuffer } from "../bytes/source.ts";
import { NecromancerError } from "../errors.ts";
import { anObject, type Elf64Phdr, PT, readElfHeader, readProgramHeaders } from "./file.ts";
import { readNotes } from "./notes.ts";

const NT_GNU_BUILD_ID = 3;
const LONGEST_BUILD_ID = 64;
/** Linkers put the notes right behind the program headers; what lies farther into a huge segment is not looked for. */
const MOST_NOTE_BYTES = 1n << 20n;
const MOST_SEGMENTS = 4096;
/** Linkers make two or three, one for each alignment. */
const MOST_NOTE_SEGMENTS = 16;

/**
 * The build-id of an ELF object of which only the beginning is at hand, as a core holds it: lower-case hexadecimal, or
 * `undefined` where the bytes are no x86-64 object, hold no build-id, or end before it.
 */
export const buildIdFrom = (bytes: Uint8Array): string | undefined => search(fromBuffer("", bytes));

/**
 * The build-id of an ELF object on disk, in few small reads; `undefined` when it has none or is no x86-64 object.
 *
 * @throws NecromancerError ERR_IO.
 */
export const buildIdOfFile = (source: ByteSource): string | undefined => search(source);

function search(source: ByteSource): string | undefined {
	try {
		const header = readElfHeader(source, anObject);
		// PN_XNUM belongs to cores; an object with that many segments is none that a linker made.
		if (header.e_phnum > MOST_SEGMENTS) return undefined;
		const noted: Elf64Phdr[] = [];
		for (const segment of readProgramHeaders(source, header))
			if (segment.p_type === PT.NOTE && noted.length < MOST_NOTE_SEGMENTS) noted.push(segment);
		const most = MOST_NOTE_BYTES / BigInt(Math.max(1, noted.length));
		for (const segment of noted) {
			const found = buildIdIn(source, segment, most);
			if (found !== undefined) return found;
		}
	} catch (error) {
		if (!(error instanceof NecromancerError) || error.code === "ERR_IO") throw error;
	}
	return undefined;
}

function buildIdIn(source: ByteSource, { p_offset, p_filesz, p_align }: Elf64Phdr, most: bigint): string | undefined {
	const left = source.size - p_offset;
	if (left <= 0n) return undefined;
	const clipped = [p_filesz, left, most].reduce((a, b) => (a < b ? a : b));
	try {
		for (const note of readNotes(source, [{ p_offset, p_filesz: clipped }], p_align === 8n ? 8 : 4)) {
			const fits = note.size > 0 && note.size <= LONGEST_BUILD_ID;
			if (note.owner === "GNU" && note.type === NT_GNU_BUILD_ID && fits) return note.read().toString("hex");
		}
	} catch (error) {
		// A note cut by the end of the bytes hides this segment's rest, not the next segment.
		if (!(error instanceof NecromancerError) || error.code === "ERR_IO") throw error;
	}
	return undefined;
}
