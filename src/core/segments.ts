import { type Address, address, fileOffset, hex, isPageAligned } from "../bytes/address.ts";
import type { Placed } from "../bytes/extent.ts";
import { byStart, type Range } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import { type Elf64Phdr, PF } from "../elf/file.ts";
import { refuse } from "../errors.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";

/**
 * One PT_LOAD: a mapping of the dead process and as much of its beginning as the core holds, often nothing.
 *
 * The kernel writes one for every mapping, with its true protection; gdb leaves clean file mappings and vvar out, shows
 * PROT_NONE as readable and execute-only as readable too. A kernel core holds only zeros for vvar and, on processors with
 * protection keys, for execute-only mappings (seen on 6.18: the dumping task may not read them).
 */
export interface Segment extends Range, Placed<Address> {
	/** Bits of mmap(2): 1 read, 2 write, 4 execute. */
	readonly prot: number;
	/** How many more bytes the core was to hold, where the file was cut short. */
	readonly missing?: bigint;
}

/**
 * The segments of PT_LOAD headers by ascending address.
 *
 * @param core What segments were to have behind its end is missing.
 * @throws NecromancerError ERR_CORE_CORRUPT: unaligned, wrapping or overlapping addresses, more bytes than memory, or, all
 *   together, than the file.
 */
export function readSegments(core: ByteSource, loads: readonly Elf64Phdr[]): readonly Segment[] {
	const subject = core.name;
	const segments = loads.filter(({ p_memsz }) => p_memsz > 0n).map((load) => segment(core, load));
	segments.sort(byStart);
	for (const [i, next] of segments.entries()) {
		const before = segments[i - 1];
		if (before !== undefined && before.end > next.start) {
			corrupt(subject, `segments ${rangeText(before)} and ${rangeText(next)} overlap`, "expected distinct mappings");
		}
	}
	requireHeld(core, segments);
	return segments;
}

/**
 * Segments may have bytes in common, as a writer may keep equal pages once; but all together hold no more than the file.
 * Otherwise a small one would be a core of any size to those who look through memory.
 */
function requireHeld({ name, size }: ByteSource, segments: readonly Segment[]): void {
	const held = segments.reduce((sum, { available }) => sum + available, 0n);
	if (held > size) corrupt(name, `its segments hold ${held} bytes`, `expected at most the file's ${size}`);
}

function segment(core: ByteSource, { p_vaddr, p_memsz, p_filesz, p_flags, p_offset }: Elf64Phdr): Segment {
	const { name: subject, size } = core;
	const end = p_vaddr + p_memsz;
	const spelled = `segment ${hex(p_vaddr)}-${hex(end)}`;
	if (end >= 1n << 64n) corrupt(subject, `${spelled} wraps around`, "expected it to end below 2^64");
	if (!isPageAligned(p_vaddr) || !isPageAligned(p_memsz))
		corrupt(subject, `${spelled} splits a page`, "expected whole pages");
	if (p_filesz > p_memsz) {
		corrupt(subject, `${spelled} has ${p_filesz} bytes in the file`, `expected at most its ${p_memsz} of memory`);
	}
	const left = p_offset < size ? size - p_offset : 0n;
	const missing = p_filesz > left ? p_filesz - left : 0n;
	// of one shape, without spreading: there may be 65,535 of them
	const whole: Segment = {
		start: address(p_vaddr),
		end: address(end),
		prot: protOf(p_flags),
		source: core,
		offset: fileOffset(p_offset),
		length: p_memsz,
		available: missing === 0n ? p_filesz : p_filesz - missing,
	};
	return missing === 0n ? whole : { ...whole, missing };
}

const protOf = (flags: number): number =>
	((flags & PF.R) !== 0 ? PROT_READ : 0) |
	((flags & PF.W) !== 0 ? PROT_WRITE : 0) |
	((flags & PF.X) !== 0 ? PROT_EXEC : 0);

/** A range as messages spell it. */
export const rangeText = (range: Range): string => `${hex(range.start)}-${hex(range.end)}`;

const corrupt = (subject: string, finding: string, expectation: string): never =>
	refuse("ERR_CORE_CORRUPT", { subject, finding, expectation });
