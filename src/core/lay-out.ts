import { type FileOffset, fileOffset, isPageAligned, PAGE_SIZE, pageCeil } from "../bytes/address.ts";
import { EM_X86_64, ET, elf64Ehdr, elf64Phdr, elf64Shdr, PF, PN_XNUM, PT } from "../elf/file.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import type { NewCore, NewSegment } from "./new-core.ts";
import { rangeText } from "./segments.ts";
import { notesOf } from "./write-notes.ts";

/** Where everything of a core lies: what is written, but for the bytes of memory. */
export interface CoreLayout {
	/** Headers and notes, from byte 0 on. */
	readonly head: readonly Uint8Array[];
	/** Where the bytes of each segment begin, in the draft's order. Whole pages. */
	readonly offsets: readonly FileOffset[];
	/** What follows all memory: the one section header of a core with more segments than its header can count. */
	readonly tail: Uint8Array;
	/** Where that begins. */
	readonly tailAt: FileOffset;
	/** Bytes of the whole file. */
	readonly size: bigint;
}

/**
 * Lays a core out as the kernel does (fs/binfmt_elf.c, elf_core_dump): headers, notes, and from the next page on the memory,
 * each segment at a whole page, so that it can be mapped from the file.
 *
 * @throws RangeError for segments that are no whole pages, not ascending, or that hold more bytes than they have.
 */
export function layOut(draft: NewCore): CoreLayout {
	const { segments } = draft;
	checkSegments(segments);
	const notes = notesOf(draft);
	const noteBytes = lengthOfAll(notes);
	const count = segments.length + 1;
	const notesAt = BigInt(elf64Ehdr.size + elf64Phdr.size * count);
	let at = pageCeil(notesAt + noteBytes);
	const headers = [
		elf64Phdr.encode({ ...bare, p_type: PT.NOTE, p_offset: notesAt, p_filesz: noteBytes, p_align: NOTE_ALIGN }),
	];
	const offsets: FileOffset[] = [];
	for (const segment of segments) {
		offsets.push(fileOffset(at));
		headers.push(loadHeader(segment, at));
		at += pageCeil(segment.fileSize);
	}
	const tail = count < PN_XNUM ? new Uint8Array() : elf64Shdr.encode({ ...bareSection, sh_size: 1n, sh_info: count });
	const head = [elfHeader(count, tail.length > 0 ? at : undefined), ...headers, ...notes];
	return { head, offsets, tail, tailAt: fileOffset(at), size: at + BigInt(tail.length) };
}

const lengthOfAll = (parts: readonly Uint8Array[]): bigint =>
	parts.reduce((sum, { length }) => sum + BigInt(length), 0n);

const NOTE_ALIGN = 4n;
const bare = { p_flags: 0, p_offset: 0n, p_vaddr: 0n, p_paddr: 0n, p_filesz: 0n, p_memsz: 0n } as const;
const bareSection = {
	...{ sh_name: 0, sh_type: 0, sh_flags: 0n, sh_addr: 0n, sh_offset: 0n },
	...{ sh_link: 0, sh_addralign: 0n, sh_entsize: 0n },
} as const;

const loadHeader = ({ start, end, prot, fileSize }: NewSegment, offset: bigint): Uint8Array =>
	elf64Phdr.encode({
		...bare,
		p_type: PT.LOAD,
		p_flags: flagsOf(prot),
		p_offset: offset,
		p_vaddr: start,
		p_filesz: fileSize,
		p_memsz: end - start,
		p_align: PAGE_SIZE,
	});

const flagsOf = (prot: number): number =>
	((prot & PROT_READ) !== 0 ? PF.R : 0) |
	((prot & PROT_WRITE) !== 0 ? PF.W : 0) |
	((prot & PROT_EXEC) !== 0 ? PF.X : 0);

/** @param sectionAt where the section header lies that counts the segments, if there is one. */
const elfHeader = (count: number, sectionAt: bigint | undefined): Uint8Array =>
	elf64Ehdr.encode({
		e_ident: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, ELFCLASS64, ELFDATA2LSB, EV_CURRENT),
		e_type: ET.CORE,
		e_machine: EM_X86_64,
		e_version: EV_CURRENT,
		e_entry: 0n,
		e_phoff: BigInt(elf64Ehdr.size),
		e_shoff: sectionAt ?? 0n,
		e_flags: 0,
		e_ehsize: elf64Ehdr.size,
		e_phentsize: elf64Phdr.size,
		e_phnum: Math.min(count, PN_XNUM),
		e_shentsize: sectionAt === undefined ? 0 : elf64Shdr.size,
		e_shnum: sectionAt === undefined ? 0 : 1,
		e_shstrndx: 0,
	});

/** elf(5). */
const [ELFCLASS64, ELFDATA2LSB, EV_CURRENT] = [2, 1, 1] as const;

function checkSegments(segments: readonly NewSegment[]): void {
	let end = 0n;
	for (const segment of segments) {
		const wrong = (what: string): never => {
			throw new RangeError(`segment ${rangeText(segment)} ${what}`);
		};
		if (!isPageAligned(segment.start) || !isPageAligned(segment.end)) wrong("is not page aligned");
		if (segment.start >= segment.end) wrong("is empty");
		if (segment.start < end) wrong("begins before the end of the one before it");
		if (segment.fileSize > segment.end - segment.start) wrong(`holds ${segment.fileSize} bytes`);
		let from: bigint = segment.start;
		for (const { start, length } of segment.contents) {
			if (start < from || start + length > segment.start + segment.fileSize)
				wrong(`has bytes at 0x${start.toString(16)}`);
			from = start + length;
		}
		end = segment.end;
	}
}
