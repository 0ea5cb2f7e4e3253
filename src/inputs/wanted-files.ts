import { address, fileOffset, PAGE_SIZE, plus } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { lengthOf, rangeAt } from "../bytes/range.ts";
import { isKernelOwned, isKernelPath } from "../core/files.ts";
import { ELF_MAGIC, elf64Ehdr, elf64Phdr } from "../elf/file.ts";
import type { PartialMapping, PartialTask } from "../forest/partial-task.ts";
import { AT } from "../linux/auxv.ts";
import { PROT_EXEC, PROT_READ } from "../linux/mman.ts";
import { linkedPaths } from "../understand/relocate.ts";
import type { Expected } from "./expected.ts";

/** A file that a dead process had mapped, as its core knows it. */
export interface WantedFile extends Expected {
	readonly path: string;
	/** It was unlinked: a file of that path is another one, unless its build-id is the same. */
	readonly deleted: boolean;
	readonly hasCode: boolean;
	/** Bytes mapped, and those of them that the core does not hold. */
	readonly mapped: bigint;
	readonly absent: bigint;
}

/** The files that mappings are of, in the order of their first addresses. What the kernel names for itself is no file. */
export function wantedFiles(dead: PartialTask): WantedFile[] {
	const { mappings, buildIds } = dead.memory;
	const linked = linkedPaths(mappings);
	const byPath = new Map<string, PartialMapping[]>();
	for (const mapping of mappings) {
		const { file } = mapping;
		if (file === undefined || isKernelOwned(file) || isKernelPath(file.path)) continue;
		// where another file has taken the path of a deleted one and both are mapped, the path is the other's
		if (file.deleted && linked.has(file.path)) continue;
		const members = byPath.get(file.path);
		if (members === undefined) byPath.set(file.path, [mapping]);
		else members.push(mapping);
	}
	const { executable } = dead.memory;
	const begun = firstOf(byPath.get(executable) ?? []);
	const heads = begun !== undefined && headOf(dead, begun) !== undefined;
	const executed = executedPaths(dead);
	return [...byPath].map(([path, members]) => {
		const untold = !heads || mayBeObject(members, executed.has(path));
		const buildId = buildIds.get(path);
		const first = firstOf(members);
		const head = first && headOf(dead, first);
		return {
			path,
			deleted: !linked.has(path),
			...defined({ buildId, head }),
			...(first === undefined ? {} : { beginning: (length) => dead.memory.read(first.start, length) }),
			...(path === dead.memory.executable ? startOf(dead) : {}),
			...relocatedOf(dead, members),
			hasCode: members.some(({ prot }) => (prot === undefined ? untold : (prot & PROT_EXEC) !== 0)),
			reach: reachOf(members),
			mapped: members.reduce((sum, mapping) => sum + lengthOf(mapping), 0n),
			absent: members.reduce((sum, mapping) => sum + absentFrom(mapping), 0n),
		};
	});
}

/**
 * folklore: gdb (gcore, seen with 13.1) leaves out mappings, and their protection with them. It keeps the first page and the
 * relocated data of every loaded object; so a file of which it kept nothing was data only.
 */
const mayBeObject = (members: readonly PartialMapping[], isExecuted: boolean): boolean =>
	isExecuted || members.some(({ held }) => held > 0n);

/** The files in which a thread stands. */
const executedPaths = ({ threads, memory }: PartialTask): ReadonlySet<string | undefined> =>
	new Set(threads.map(({ registers }) => rangeAt(memory.mappings, address(registers.ip))?.file?.path));

function startOf({ memory: { auxv } }: PartialTask): Pick<Expected, "start"> {
	const auxiliary = (wanted: number): bigint | undefined => auxv.find(({ type }) => type === wanted)?.value;
	const [entry, headersAt, headers] = [auxiliary(AT.ENTRY), auxiliary(AT.PHDR), auxiliary(AT.PHNUM)];
	if (entry === undefined || headersAt === undefined || headers === undefined) return {};
	return { start: { entryFromHeaders: entry - headersAt, headers: Number(headers) } };
}

/** Enough pages to tell builds apart. */
const MOST_RELOCATED = 16n;

function relocatedOf({ memory }: PartialTask, members: readonly PartialMapping[]): Pick<Expected, "relocated"> {
	const first = members.find(({ file }) => file?.offset === 0n);
	const found = members.find(({ prot, held, file }) => prot === PROT_READ && held > 0n && (file?.offset ?? 0n) > 0n);
	if (first === undefined || found?.file === undefined) return {};
	const { start, held, file } = found;
	const count = held / PAGE_SIZE < MOST_RELOCATED ? held / PAGE_SIZE : MOST_RELOCATED;
	const pages = Array.from({ length: Number(count) }, (_, i) => ({
		offset: file.offset + BigInt(i) * PAGE_SIZE,
		read: () => memory.read(plus(start, BigInt(i) * PAGE_SIZE), Number(PAGE_SIZE)),
	}));
	return { relocated: { base: first.start, pages } };
}

/** Bytes of a mapping that only its file has. Inaccessible memory shows none. */
const absentFrom = (mapping: PartialMapping): bigint =>
	mapping.prot === 0 || mapping.held >= lengthOf(mapping) ? 0n : lengthOf(mapping) - mapping.held;

/**
 * Mappings without a known protection are left out: dynamic linkers reserve room for a library by inaccessible mappings of
 * it, which may well lie behind its end.
 */
function reachOf(members: readonly PartialMapping[]): NonNullable<Expected["reach"]> {
	let lastStart = 0n;
	let end = 0n;
	for (const { start, end: to, prot, file } of members) {
		if (file === undefined || prot === undefined || prot === 0) continue;
		if (file.offset > lastStart) lastStart = file.offset;
		if (file.offset + (to - start) > end) end = file.offset + (to - start);
	}
	return { lastStart, end };
}

/** More program headers than this no linker makes; only the first pages of a mapping are in most cores anyway. */
const MOST_HEADERS = 64;

/** The mapping of a file's beginning. */
const firstOf = (members: readonly PartialMapping[]): PartialMapping | undefined =>
	members.find(({ file, prot = 0 }) => file?.offset === 0n && (prot & ~PROT_EXEC) !== 0);

function headOf(dead: PartialTask, first: PartialMapping): Buffer | undefined {
	const header = dead.memory.read(first.start, elf64Ehdr.size);
	if (header === undefined || header.readUInt32BE(0) !== ELF_MAGIC) return undefined;
	const { e_phoff, e_phnum } = elf64Ehdr.decode(header);
	if (e_phoff !== fileOffset(elf64Ehdr.size) || e_phnum > MOST_HEADERS) return header;
	return dead.memory.read(first.start, elf64Ehdr.size + e_phnum * elf64Phdr.size) ?? header;
}
