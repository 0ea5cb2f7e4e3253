import { layout, u8, u16, u32, u64 } from "../bytes/layout.ts";

/** elf(5), one symbol of `.symtab` or `.dynsym`. */
export const elf64Sym = layout("Elf64_Sym", {
	st_name: u32,
	st_info: u8,
	st_other: u8,
	st_shndx: u16,
	st_value: u64,
	st_size: u64,
});
