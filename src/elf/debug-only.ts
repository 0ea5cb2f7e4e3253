import { fileOffset } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { anObject, elf64Shdr, readElfHeader } from "./file.ts";
import { windowed } from "./window.ts";

const SHT_NOBITS = 8;
const SHF_EXECINSTR = 4n;

/**
 * Whether an object is the separated debug information of another: it has that one's build-id and program headers, and
 * its code is not in the file.
 *
 * @throws NecromancerError as `readElfHeader` does, when it is no x86-64 object.
 */
export function isDebugOnly(source: ByteSource): boolean {
	const { e_shoff, e_shnum, e_shentsize } = readElfHeader(source, anObject);
	if (e_shentsize !== elf64Shdr.size) return false;
	const read = windowed(source);
	for (let i = 0; i < e_shnum; i++) {
		const at = e_shoff + BigInt(i * elf64Shdr.size);
		const raw = at < source.size ? read(fileOffset(at), elf64Shdr.size) : undefined;
		if (raw === undefined) return false;
		const { sh_type, sh_flags } = elf64Shdr.decode(raw);
		if (sh_type === SHT_NOBITS && (sh_flags & SHF_EXECINSTR) !== 0n) return true;
	}
	return false;
}
