import { type FileOffset, fileOffset, hex } from "../bytes/address.ts";
import { layout, u32 } from "../bytes/layout.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { mostThreads } from "../linux/process-bounds.ts";
import { endOf, truncated } from "./file.ts";
import { windowed } from "./window.ts";

/** elf(5): the head of a note; name and descriptor follow, each padded to the alignment. */
const elf64Nhdr = layout("Elf64_Nhdr", { n_namesz: u32, n_descsz: u32, n_type: u32 });

/** One note. Its bytes stay in the file until they are read. */
export interface Note {
	/** "CORE", "LINUX", "GNU", …; Latin-1, without its NUL. */
	readonly owner: string;
	readonly type: number;
	/** Where the descriptor lies in the file. */
	readonly offset: FileOffset;
	/** Bytes of the descriptor. */
	readonly size: number;
	/** The first `length` bytes of the descriptor (all by default), as a copy. The caller bounds them. */
	read(length?: number): Buffer;
}

/** Where notes lie: what a PT_NOTE program header says. */
export interface NoteSegment {
	readonly p_offset: bigint;
	readonly p_filesz: bigint;
}

/** Each thread has four or five. */
const NOTES_OF_A_THREAD = 16;

/** More bytes of notes are a lie or an attack. */
const MOST_BYTES = 1n << 30n;
const LONGEST_OWNER = 256;

/**
 * The notes of the segments, in order. Every size is held against its segment, every segment against the file.
 *
 * @param alignment bytes that name and descriptor are padded to: 4 in cores whatever `p_align` says (gdb writes 1, old
 *   kernels 0), 8 in the segment of `.note.gnu.property`.
 * @throws NecromancerError ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT.
 */
export function* readNotes(
	source: ByteSource,
	segments: Iterable<NoteSegment>,
	alignment: 4 | 8 = 4,
): Generator<Note, void, undefined> {
	const window = windowed(source);
	const most = NOTES_OF_A_THREAD * mostThreads(source.size);
	let count = 0;
	let total = 0n;
	for (const segment of segments) {
		const end = endOf(segment);
		if (end === undefined || end > source.size) {
			return truncated(source, segment.p_offset + segment.p_filesz, "the notes", placeOf(source, segment));
		}
		total += segment.p_filesz;
		if (total > MOST_BYTES) limit(source, `has ${total} bytes of notes`, `${MOST_BYTES}`);
		for (let at = segment.p_offset; at < end; ) {
			if (++count > most) limit(source, `has more than ${most} notes`, `${most} in ${source.size} bytes`);
			const note = noteAt(source, window, at, segment.p_offset, end, alignment);
			if (note === undefined) break;
			yield note.note;
			at = note.next;
		}
	}
}

/** Whether a file ends within a segment's bytes or ahead of all of them. */
export const placeOf = (source: ByteSource, segment: { readonly p_offset: bigint }): "before" | "inside" =>
	source.size <= segment.p_offset ? "before" : "inside";

type ReadAt = (offset: FileOffset, length: number) => Buffer | undefined;

function noteAt(source: ByteSource, window: ReadAt, at: bigint, start: bigint, end: bigint, alignment: 4 | 8) {
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_CORE_CORRUPT", { subject: source.name, finding, expectation });
	const bytesAt = (offset: bigint, length: number): Buffer =>
		window(fileOffset(offset), length) ?? truncated(source, offset + BigInt(length), "the notes");
	const left = end - at;
	if (left < BigInt(elf64Nhdr.size)) {
		// Padding up to a page is harmless, half a note is not.
		if (bytesAt(at, Number(left)).every((byte) => byte === 0)) return undefined;
		return corrupt(
			`has ${left} bytes after the last note at ${hex(at)}`,
			`expected a note of ${elf64Nhdr.size} or more`,
		);
	}
	const { n_namesz, n_descsz, n_type } = elf64Nhdr.decode(bytesAt(at, elf64Nhdr.size));
	const align = (offset: bigint): bigint => {
		const over = (offset - start) % BigInt(alignment);
		return over === 0n ? offset : offset + BigInt(alignment) - over;
	};
	const name = at + BigInt(elf64Nhdr.size);
	const desc = align(name + BigInt(n_namesz));
	const descEnd = desc + BigInt(n_descsz);
	if (n_namesz > LONGEST_OWNER) {
		corrupt(`note at ${hex(at)} has a name of ${n_namesz} bytes`, `expected at most ${LONGEST_OWNER}`);
	}
	if (name + BigInt(n_namesz) > end || (n_descsz > 0 && descEnd > end)) {
		corrupt(
			`note at ${hex(at)} has ${n_namesz} bytes of name and ${n_descsz} of content`,
			`expected it to end within its segment at ${hex(end)}`,
		);
	}
	const rawName = bytesAt(name, n_namesz);
	const nul = rawName.indexOf(0);
	const note: Note = {
		owner: rawName.toString("latin1", 0, nul < 0 ? rawName.length : nul),
		type: n_type,
		offset: fileOffset(desc),
		size: n_descsz,
		read: (length = n_descsz) => Buffer.from(bytesAt(desc, length)),
	};
	return { note, next: align(descEnd) };
}

/** A note as a core holds it: name and descriptor each padded to 4 bytes. The owner is Latin-1. */
export function encodeNote(owner: string, type: number, descriptor: Uint8Array): Uint8Array {
	const padded = (length: number): number => Math.ceil(length / 4) * 4;
	const name = Buffer.from(`${owner}\0`, "latin1");
	const bytes = new Uint8Array(elf64Nhdr.size + padded(name.length) + padded(descriptor.length));
	bytes.set(elf64Nhdr.encode({ n_namesz: name.length, n_descsz: descriptor.length, n_type: type }));
	bytes.set(name, elf64Nhdr.size);
	bytes.set(descriptor, elf64Nhdr.size + padded(name.length));
	return bytes;
}

const limit = (source: ByteSource, finding: string, most: string): never =>
	refuse("ERR_CORE_CORRUPT", { subject: source.name, finding, expectation: `expected at most ${most}` });
