import { fileOffset, PAGE_SIZE } from "../bytes/address.ts";
import type { ByteSource } from "../bytes/source.ts";
import { anObject, type Elf64Phdr, elf64Phdr, PT, readElfHeader, readProgramHeaders } from "../elf/file.ts";
import { NecromancerError } from "../errors.ts";
import type { Expected } from "./expected.ts";

/**
 * Why an ELF file cannot be the one that was mapped, judged without its header page: by the auxiliary vector (AT_ENTRY,
 * AT_PHDR) and by relocated pages (RELRO) in the core. `undefined` where nothing contradicts.
 */
export function otherStart(
	{ start, relocated }: Pick<Expected, "start" | "relocated">,
	source: ByteSource,
): { readonly finding: string; readonly expectation: string } | undefined {
	if (start === undefined && relocated === undefined) return undefined;
	try {
		const header = readElfHeader(source, anObject);
		const segments = [...readProgramHeaders(source, header)];
		if (start !== undefined) {
			const { e_entry, e_phnum, e_phoff } = header;
			const holder = segments.find(
				({ p_type, p_offset, p_filesz }) =>
					p_type === PT.LOAD &&
					p_offset <= e_phoff &&
					e_phoff + BigInt(e_phnum * elf64Phdr.size) <= p_offset + p_filesz,
			);
			const headersAt = (holder?.p_vaddr ?? 0n) + e_phoff - (holder?.p_offset ?? 0n);
			if (e_phnum !== start.headers)
				return { finding: `has ${e_phnum} program headers`, expectation: `expected ${start.headers} (AT_PHNUM)` };
			if (holder !== undefined && e_entry - headersAt !== start.entryFromHeaders)
				return {
					finding: `begins ${e_entry - headersAt} bytes behind its program headers`,
					expectation: `expected ${start.entryFromHeaders} (AT_ENTRY, AT_PHDR)`,
				};
		}
		if (relocated === undefined) return undefined;
		const bias = relocated.base - (segments.find(({ p_type }) => p_type === PT.LOAD)?.p_vaddr ?? 0n);
		const dynamic = segments.find(({ p_type }) => p_type === PT.DYNAMIC);
		let [telling, strange] = [0, 0];
		for (const { offset, read } of relocated.pages) {
			const [held, own] = [read(), source.read(fileOffset(offset), Number(PAGE_SIZE))];
			if (held === undefined || own === undefined) continue;
			if (dynamic !== undefined && hasOtherDynamics(dynamic, held, own, offset, bias))
				return {
					finding: "has another dynamic section",
					expectation: "expected that of the dead process, which says where each part of its file is",
				};
			const words = compared(held, own, bias);
			telling += words.telling;
			strange += words.strange;
		}
		return telling >= FEWEST_WORDS && 2 * strange > telling
			? {
					finding: `has other data where the dynamic linker relocates it (${strange} of ${telling} words)`,
					expectation: "expected that of the dead process",
				}
			: undefined;
	} catch (error) {
		// damaged ELF files are reported elsewhere
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
}

/**
 * The dynamic section says where tables, initializers and finalizers are. Dynamic linkers write nothing to it but the place of
 * their list (DT_DEBUG), and move addresses: glibc before 2.35 (elf/get-dynamic-info.h).
 *
 * @param offset in the file, where both pages begin.
 */
function hasOtherDynamics(
	{ p_offset, p_filesz }: Pick<Elf64Phdr, "p_offset" | "p_filesz">,
	held: Buffer,
	own: Buffer,
	offset: bigint,
	bias: bigint,
): boolean {
	const end = p_offset + p_filesz - offset;
	for (let at = p_offset - offset; at + 16n <= end; at += 16n) {
		const i = Number(at);
		if (i < 0 || i + 16 > held.length) continue;
		const [tag, was, is] = [own.readBigUInt64LE(i), own.readBigUInt64LE(i + 8), held.readBigUInt64LE(i + 8)];
		if (held.readBigUInt64LE(i) !== tag) return true;
		if (tag !== DT_DEBUG && is !== was && is !== BigInt.asUintN(64, was + bias)) return true;
		if (tag === 0n) return false;
	}
	return false;
}

/** Elf64_Dyn's tag of the word that the dynamic linker fills (System V ABI). */
const DT_DEBUG = 21n;

/** Fewer say nothing. */
const FEWEST_WORDS = 16;

/**
 * How many words of a relocated page the file fills, and how many of these are neither the file's own nor moved with it. Of the
 * same build that is some too, since a slot of a function may name code of the file until it is bound; of another most are.
 */
function compared(held: Buffer, own: Buffer, bias: bigint): { readonly telling: number; readonly strange: number } {
	let [telling, strange] = [0, 0];
	for (let at = 0; at + 8 <= held.length; at += 8) {
		const [is, was] = [held.readBigUInt64LE(at), own.readBigUInt64LE(at)];
		if (was === 0n) continue;
		telling += 1;
		if (is !== was && is !== BigInt.asUintN(64, was + bias)) strange += 1;
	}
	return { telling, strange };
}
