import { hex } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { type Elf64Phdr, endOf, PT, truncated } from "../elf/file.ts";
import { placeOf } from "../elf/notes.ts";
import { refuse } from "../errors.ts";

/**
 * Holds the file's length against everything its program headers promise. A dump that hits RLIMIT_CORE or a full disk
 * stops anywhere, and its headers still announce all of it. The message names what the first missing byte belongs to.
 *
 * @throws NecromancerError ERR_CORE_TRUNCATED, ERR_CORE_CORRUPT (bytes beyond 2^64).
 */
export function requireWhole(source: ByteSource, headers: readonly Elf64Phdr[]): void {
	let first: Elf64Phdr | undefined;
	let needed = 0n;
	for (const header of headers) {
		if (header.p_filesz === 0n) continue;
		const end =
			endOf(header) ??
			refuse("ERR_CORE_CORRUPT", {
				subject: source.name,
				finding: `${nameOf(header)} has ${header.p_filesz} bytes at file offset ${hex(header.p_offset)}`,
				expectation: "expected them to end below 2^64",
			});
		if (end <= source.size) continue;
		if (first === undefined || header.p_offset < first.p_offset) first = header;
		if (end > needed) needed = end;
	}
	if (first === undefined) return;
	const otherwise = first.p_type === PT.NOTE ? "" : ", or raise it without what is missing (raise --truncated)";
	truncated(source, needed, nameOf(first), placeOf(source, first), otherwise);
}

const nameOf = ({ p_type, p_vaddr, p_memsz }: Elf64Phdr): string =>
	p_type === PT.NOTE ? "the notes" : `segment ${hex(p_vaddr)}-${hex(p_vaddr + p_memsz)}`;
