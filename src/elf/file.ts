import { type FileOffset, fileOffset, hex } from "../bytes/address.ts";
import { bytes, layout, type Struct, u8, u16, u32, u64 } from "../bytes/layout.ts";
import { packingOf } from "../bytes/packing.ts";
import type { ByteSource } from "../bytes/source.ts";
import { refuse } from "../errors.ts";
import { atMost, mostMappings } from "../linux/process-bounds.ts";
import { machineName } from "./machine.ts";
import { windowed } from "./window.ts";

/** What every ELF file begins with (elf(5), EI_MAG0 to EI_MAG3), as a big-endian number. */
export const ELF_MAGIC = 0x7f454c46;

/** File types, `e_type` (include/uapi/linux/elf.h). */
export const ET = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;

/** Segment types, `p_type`. */
export const PT = { LOAD: 1, DYNAMIC: 2, NOTE: 4, PHDR: 6, GNU_RELRO: 0x6474e552 } as const;

/** Segment permissions, `p_flags`. */
export const PF = { X: 1, W: 2, R: 4 } as const;

/** `e_phnum` of a file with more program headers than the field can say: section header 0 has the count in `sh_info`. */
export const PN_XNUM = 0xffff;

export const EM_X86_64 = 62;

/** elf(5), 64 bytes at the start of every ELF64 file. */
export const elf64Ehdr = layout("Elf64_Ehdr", {
	e_ident: bytes(16),
	e_type: u16,
	e_machine: u16,
	e_version: u32,
	e_entry: u64,
	e_phoff: u64,
	e_shoff: u64,
	e_flags: u32,
	e_ehsize: u16,
	e_phentsize: u16,
	e_phnum: u16,
	e_shentsize: u16,
	e_shnum: u16,
	e_shstrndx: u16,
});

export type Elf64Ehdr = Struct<typeof elf64Ehdr>;

/** elf(5), 56 bytes per segment. */
export const elf64Phdr = layout("Elf64_Phdr", {
	p_type: u32,
	p_flags: u32,
	p_offset: u64,
	p_vaddr: u64,
	p_paddr: u64,
	p_filesz: u64,
	p_memsz: u64,
	p_align: u64,
});

export type Elf64Phdr = Struct<typeof elf64Phdr>;

/** elf(5), 64 bytes per section. Here only the first matters, for {@link PN_XNUM}. */
export const elf64Shdr = layout("Elf64_Shdr", {
	sh_name: u32,
	sh_type: u32,
	sh_flags: u64,
	sh_addr: u64,
	sh_offset: u64,
	sh_size: u64,
	sh_link: u32,
	sh_info: u32,
	sh_addralign: u64,
	sh_entsize: u64,
});

/** elf(5), one symbol of `.symtab` or `.dynsym`. */
export const elf64Sym = layout("Elf64_Sym", {
	st_name: u32,
	st_info: u8,
	st_other: u8,
	st_shndx: u16,
	st_value: u64,
	st_size: u64,
});

/** Which ELF files a reader accepts. */
export interface WantedTables {
	/** The acceptable `e_type`s. */
	readonly types: readonly number[];
	/** In words, with its article. */
	readonly what: string;
	/** `e_machine`; x86-64 where it is absent. */
	readonly machines?: readonly number[];
}

export const aCore: WantedTables = { types: [ET.CORE], what: "an x86-64 core" };

export const anObject: WantedTables = { types: [ET.EXEC, ET.DYN], what: "an x86-64 executable or library" };

/**
 * The header of an ELF64 little-endian file, of x86-64 unless another machine is wanted.
 *
 * @throws NecromancerError ERR_CORE_MAGIC (no ELF file), ERR_CORE_KIND (another word size, byte order, machine or type
 *   than wanted), ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT (program headers of a size that no ELF64 file has).
 */
export function readElfHeader(source: ByteSource, wanted: WantedTables): Elf64Ehdr {
	const subject = source.name;
	const kind = (finding: string): never =>
		refuse("ERR_CORE_KIND", { subject, finding, expectation: `expected ${wanted.what}` });
	const head = source.read(fileOffset(0), Math.min(elf64Ehdr.size, Number(source.size))) ?? Buffer.alloc(0);
	if (head.length < 4 || head.readUInt32BE(0) !== ELF_MAGIC) return notElf(subject, head);
	if (head.length < elf64Ehdr.size) return truncated(source, fileOffset(elf64Ehdr.size), "the ELF header");
	if (head[4] !== 2) return kind(head[4] === 1 ? "is a 32-bit ELF file" : `has ELF class ${head[4]}`);
	if (head[5] !== 1) return kind(head[5] === 2 ? "is big-endian" : `has ELF byte order ${head[5]}`);
	const header = elf64Ehdr.decode(head);
	if (!(wanted.machines ?? [EM_X86_64]).includes(header.e_machine))
		return kind(`is for ${machineName(header.e_machine)}`);
	if (!wanted.types.includes(header.e_type)) return kind(typeNames[header.e_type] ?? `has ELF type ${header.e_type}`);
	if (header.e_phnum !== 0 && header.e_phentsize !== elf64Phdr.size) {
		return refuse("ERR_CORE_CORRUPT", {
			subject,
			finding: `has program headers of ${header.e_phentsize} bytes`,
			expectation: `expected ${elf64Phdr.size}`,
		});
	}
	return header;
}

/** Besides one for each mapping, for notes and the like. */
const OTHER_PROGRAM_HEADERS = 64;

/**
 * Every program header, in file order. The count is held against the file before the first is read, and the table is
 * read in pieces.
 *
 * @throws NecromancerError ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT.
 */
export function* readProgramHeaders(source: ByteSource, header: Elf64Ehdr): Generator<Elf64Phdr, void, undefined> {
	const count = programHeaderCount(source, header);
	if (count === 0) return;
	const most = mostMappings(source.size) + OTHER_PROGRAM_HEADERS;
	if (count > most) {
		refuse("ERR_CORE_CORRUPT", {
			subject: source.name,
			finding: `claims ${count} program headers`,
			expectation: atMost(most, source.size),
		});
	}
	const end = header.e_phoff + BigInt(count) * BigInt(elf64Phdr.size);
	if (end > source.size) truncated(source, end, `the ${count} program headers`);
	const read = windowed(source);
	for (let at = header.e_phoff; at < end; at += BigInt(elf64Phdr.size)) {
		const raw = read(fileOffset(at), elf64Phdr.size) ?? truncated(source, end, `the ${count} program headers`);
		yield elf64Phdr.decode(raw);
	}
}

function programHeaderCount(source: ByteSource, header: Elf64Ehdr): number {
	if (header.e_phnum !== PN_XNUM) return header.e_phnum;
	// The kernel's answer to more than 65,534 mappings: one section header at the end of the file (fs/binfmt_elf.c).
	if (header.e_shoff === 0n) {
		return refuse("ERR_CORE_CORRUPT", {
			subject: source.name,
			finding: "has more than 65534 program headers but no section header",
			expectation: "expected their count in section header 0",
		});
	}
	const section = source.read(fileOffset(header.e_shoff), elf64Shdr.size);
	if (section === undefined || header.e_shoff > source.size) {
		return truncated(source, header.e_shoff + BigInt(elf64Shdr.size), "the section header with the segment count");
	}
	return elf64Shdr.decode(section).sh_info;
}

/** Refuses a file that ends before `end`, which `what` needs; `place` says where in it the file ends. */
export const truncated = (source: ByteSource, end: bigint, what: string, place = "inside", otherwise = ""): never =>
	refuse("ERR_CORE_TRUNCATED", {
		subject: source.name,
		finding: `ends at ${hex(source.size)} (${source.size} bytes) ${place} ${what}`,
		expectation: `expected at least ${end} bytes`,
		remedy: `the dump was cut short: raise RLIMIT_CORE (ulimit -c unlimited) or make room on the disk, and dump again${otherwise}`,
	});

/** The part of the file that a program header names; `undefined` end on overflow is the same as too far. */
export const endOf = (segment: { readonly p_offset: bigint; readonly p_filesz: bigint }): FileOffset | undefined => {
	const end = segment.p_offset + segment.p_filesz;
	return end < 1n << 64n ? fileOffset(end) : undefined;
};

const notElf = (subject: string, head: Buffer): never => {
	// systemd-coredump and apport keep cores compressed; people hand them over as they are.
	const packing = packingOf(head);
	return refuse("ERR_CORE_MAGIC", {
		subject,
		finding:
			head.length === 0
				? "is empty"
				: packing !== undefined
					? `is compressed with ${packing}`
					: `starts with ${[...head.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}`,
		expectation: "expected an ELF file (7f 45 4c 46)",
		...(packing !== undefined && { remedy: `decompress it first: ${packing} -d` }),
	});
};

const typeNames: Readonly<Record<number, string>> = {
	[ET.REL]: "is a relocatable object",
	[ET.EXEC]: "is an executable",
	[ET.DYN]: "is an executable or shared library",
	[ET.CORE]: "is a core",
};
