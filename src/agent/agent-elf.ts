import { type Address, PAGE_SIZE } from "../bytes/address.ts";
import { ET, elf64Ehdr, elf64Phdr, PF, PT } from "../elf/file.ts";
import type { Blob } from "./blob.ts";
import { blobPage } from "./layout.ts";

/**
 * The smallest program around the blob: an ELF executable of one segment, that lies at `at` for good (ET_EXEC) and starts
 * with {@link blobPage}. Zeroed memory follows it, up to `reserve` bytes from `at`.
 *
 * @param at Page aligned.
 * @param reserve Bytes, at least a page.
 */
export function agentElf(blob: Blob, at: Address, reserve: bigint): Buffer {
	const file = Buffer.alloc(2 * Number(PAGE_SIZE));
	const segment = { p_flags: PF.R | PF.W, p_offset: 0n, p_vaddr: 0n, p_paddr: 0n, p_filesz: 0n, p_memsz: 0n };
	file.set(
		elf64Ehdr.encode({
			e_ident: Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, ELFCLASS64, ELFDATA2LSB, EV_CURRENT),
			e_type: ET.EXEC,
			e_machine: EM_X86_64,
			e_version: EV_CURRENT,
			e_entry: at + BigInt(blob.symbols.agent),
			e_phoff: BigInt(elf64Ehdr.size),
			e_shoff: 0n,
			e_flags: 0,
			e_ehsize: elf64Ehdr.size,
			e_phentsize: elf64Phdr.size,
			e_phnum: 2,
			e_shentsize: 0,
			e_shnum: 0,
			e_shstrndx: 0,
		}),
	);
	file.set(
		elf64Phdr.encode({
			...segment,
			p_type: PT.LOAD,
			p_flags: PF.R | PF.W | PF.X,
			p_offset: PAGE_SIZE,
			p_vaddr: at,
			p_paddr: at,
			p_filesz: PAGE_SIZE,
			p_memsz: reserve,
			p_align: PAGE_SIZE,
		}),
		elf64Ehdr.size,
	);
	// Without it the kernel takes the program for an old one, and makes all it can read executable.
	file.set(elf64Phdr.encode({ ...segment, p_type: PT_GNU_STACK, p_align: 16n }), elf64Ehdr.size + elf64Phdr.size);
	file.set(blobPage(blob), Number(PAGE_SIZE));
	return file;
}

/** elf(5). */
const [ELFCLASS64, ELFDATA2LSB, EV_CURRENT, EM_X86_64, PT_GNU_STACK] = [2, 1, 1, 62, 0x6474e551] as const;
