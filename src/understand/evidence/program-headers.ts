import { type Address, address, PAGE_SIZE, pageFloor, plus } from "../../bytes/address.ts";
import { lengthOf } from "../../bytes/range.ts";
import { type ByteSource, fromBuffer } from "../../bytes/source.ts";
import { anObject, type Elf64Phdr, elf64Phdr, PF, PT, readElfHeader, readProgramHeaders } from "../../elf/file.ts";
import { NecromancerError } from "../../errors.ts";
import type { PartialMapping, PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import { AT } from "../../linux/auxv.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../linux/mman.ts";
import type { OpenObject } from "./program-objects.ts";

/** The executable's segments, where they lay. */
export interface Program {
	readonly bias: bigint;
	/** PT_LOAD, as linked. */
	readonly loads: readonly Elf64Phdr[];
}

const MOST = 512n;

/** The program headers of the executable, from the core's own memory or, where that lacks them, from this host's file. */
export function programOf(memory: PartialMemory, open: OpenObject): Program | undefined {
	const loads = headersInCore(memory) ?? loadsOf(headersOf(open(memory.executable)?.source) ?? []);
	const first = loads?.find(({ p_offset }) => p_offset === 0n) ?? loads?.[0];
	const mapped = memory.mappings.find(({ file }) => file?.path === memory.executable);
	if (loads === undefined || first === undefined || mapped === undefined) return undefined;
	const at = mapped.start - (mapped.file?.offset ?? 0n);
	return { bias: at - pageFloor(address(first.p_vaddr - first.p_offset)), loads };
}

function headersInCore(memory: PartialMemory): Elf64Phdr[] | undefined {
	const of = (type: number): bigint | undefined => memory.auxv.find((pair) => pair.type === type)?.value;
	const [at, count, size] = [of(AT.PHDR), of(AT.PHNUM), of(AT.PHENT)];
	if (at === undefined || count === undefined || count > MOST || size !== BigInt(elf64Phdr.size)) return undefined;
	const bytes = memory.read(address(at), Number(count) * elf64Phdr.size);
	if (bytes === undefined) return undefined;
	return loadsOf(Array.from({ length: Number(count) }, (_, i) => elf64Phdr.decode(bytes.subarray(i * elf64Phdr.size))));
}

/** `undefined` for what is no x86-64 object, or a broken one. */
function headersOf(source: ByteSource | undefined): Elf64Phdr[] | undefined {
	if (source === undefined) return undefined;
	try {
		const header = readElfHeader(source, anObject);
		return header.e_phnum > MOST ? undefined : [...readProgramHeaders(source, header)];
	} catch (error) {
		if (error instanceof NecromancerError) return undefined;
		throw error;
	}
}

const loadsOf = (headers: readonly Elf64Phdr[]): Elf64Phdr[] | undefined => {
	const loads = headers.filter(({ p_type }) => p_type === PT.LOAD);
	return loads.length === 0 ? undefined : loads;
};

/** The first page after what the executable itself takes, .bss included. */
export const bssEnd = ({ bias, loads }: Program): Address =>
	address(loads.reduce((end, { p_vaddr, p_memsz }) => (p_vaddr + p_memsz > end ? p_vaddr + p_memsz : end), 0n) + bias);

/** Code and data as the kernel counts them (fs/binfmt_elf.c, load_elf_binary). */
export function codeAndData({ bias, loads }: Program): {
	readonly startCode: Address;
	readonly endCode: Address;
	readonly startData: Address;
	readonly endData: Address;
} {
	const code = loads.filter(({ p_flags }) => (p_flags & PF.X) !== 0);
	const starts = (of: readonly Elf64Phdr[]): bigint[] => of.map(({ p_vaddr }) => p_vaddr);
	const ends = (of: readonly Elf64Phdr[]): bigint[] => of.map(({ p_vaddr, p_filesz }) => p_vaddr + p_filesz);
	const placed = (value: bigint | undefined): Address => plus(address(value ?? 0n), bias);
	return {
		startCode: placed(least(starts(code.length > 0 ? code : loads))),
		endCode: placed(most(ends(code.length > 0 ? code : loads))),
		startData: placed(most(starts(loads))),
		endData: placed(most(ends(loads))),
	};
}

const least = (values: readonly bigint[]): bigint | undefined =>
	values.reduce<bigint | undefined>((a, b) => (a === undefined || b < a ? b : a), undefined);
const most = (values: readonly bigint[]): bigint | undefined =>
	values.reduce<bigint | undefined>((a, b) => (a === undefined || b > a ? b : a), undefined);

/**
 * The protection that ld.so gives a mapping of an object that begins at an offset; `undefined` where no segment has it. What is all
 * relocations and constants of them (PT_GNU_RELRO) can no longer be written to when it is done.
 */
function protectionAt(headers: readonly Elf64Phdr[], offset: bigint, length: bigint): number | undefined {
	const segment = headers.find(
		({ p_type, p_offset, p_filesz }) =>
			p_type === PT.LOAD && pageFloor(address(p_offset)) <= offset && offset < p_offset + p_filesz,
	);
	if (segment === undefined) return undefined;
	const relocated = headers.some(
		({ p_type, p_offset, p_memsz }) =>
			p_type === PT.GNU_RELRO &&
			pageFloor(address(p_offset)) <= offset &&
			offset + length <= pageFloor(address(p_offset + p_memsz)),
	);
	if (relocated) return PROT_READ;
	const has = (flag: number, prot: number): number => ((segment.p_flags & flag) !== 0 ? prot : 0);
	return has(PF.R, PROT_READ) | has(PF.W, PROT_WRITE) | has(PF.X, PROT_EXEC);
}

/**
 * folklore: gdb (gcore, seen with 13.1) leaves clean file mappings out of its cores, text above all. Their protection is taken
 * from the object's program headers, as ld.so does: in its first page, which the core holds, or in this host's file.
 */
export function withLinkedProtections(dead: PartialTask, open: OpenObject): PartialTask {
	const headers = new Map<string, readonly Elf64Phdr[] | undefined>();
	const linked = (mapping: PartialMapping): PartialMapping => {
		const { file } = mapping;
		if (mapping.prot !== undefined || file === undefined || file.deleted) return mapping;
		if (!headers.has(file.path))
			headers.set(file.path, headersOf(firstPage(file.path, dead.memory)) ?? headersOf(open(file.path)?.source));
		const prot = protectionAt(headers.get(file.path) ?? [], file.offset, lengthOf(mapping));
		return prot === undefined ? mapping : { ...mapping, prot };
	};
	return { ...dead, memory: { ...dead.memory, mappings: dead.memory.mappings.map(linked) } };
}

function firstPage(path: string, { mappings, read }: PartialMemory): ByteSource | undefined {
	const first = mappings.find(({ file, held }) => file?.path === path && file.offset === 0n && held >= PAGE_SIZE);
	const bytes = first === undefined ? undefined : read(first.start, Number(PAGE_SIZE));
	return bytes === undefined ? undefined : fromBuffer(path, bytes);
}
