import { address } from "../../bytes/address.ts";
import { bytes, i32, layout, u32, u64 } from "../../bytes/layout.ts";
import { type Finding, loss } from "../../finding.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { MOST_DESCRIPTORS } from "./descriptor-guess.ts";
import { type OpenObject, variablesOf } from "./program-objects.ts";

/** A stream of stdio (stdio(3)) that was open. */
export interface StdioFile {
	readonly number: number;
	readonly reads: boolean;
	readonly writes: boolean;
	/** Opened with O_APPEND. */
	readonly appends: boolean;
	/** Bytes that the program had written and stdio had not yet. */
	readonly unwritten: number;
}

/** `struct _IO_FILE` of glibc for x86-64 (libio/bits/types/struct_FILE.h), the same since 2.1. */
const ioFile = layout("_IO_FILE", {
	flags: u32,
	read: bytes(3 * 8 + 4),
	write_base: u64,
	write_ptr: u64,
	write_end: u64,
	buffers: bytes(6 * 8),
	chain: u64,
	fileno: i32,
});

/** `_flags` (libio/libio.h). */
const [MAGIC, MAGIC_MASK] = [0xfbad_0000, 0xffff_0000];
const [NO_READS, NO_WRITES, APPENDS] = [0x4, 0x8, 0x1000];

/** The head of the list of all that are open, in libc. */
const LIST = "_IO_list_all";
const LIBC = { objects: /\/libc(?:\.so\.6|-2\.\d+\.so)$/ };

/** Streams that are looked at: more than a table of descriptors usually holds. */
const MOST_STREAMS = 4096;

/** What glibc's stdio had open, by its own list; nothing where its variable is not found, or the list is broken. */
export function stdioFiles(memory: PartialMemory, open: OpenObject): readonly StdioFile[] {
	for (const variables of variablesOf(memory, open, LIBC, [LIST])) {
		const at = variables.get(LIST);
		const first = at === undefined ? undefined : memory.read(at, 8)?.readBigUInt64LE(0);
		const found = first === undefined ? undefined : streamsFrom(first, memory);
		if (found !== undefined) return found;
	}
	return [];
}

function streamsFrom(first: bigint, memory: PartialMemory): StdioFile[] | undefined {
	const found = new Map<number, StdioFile>();
	let next = first;
	for (let i = 0; next !== 0n; i++) {
		const raw = i < MOST_STREAMS ? memory.read(address(next), ioFile.size) : undefined;
		if (raw === undefined) return undefined;
		const { flags, write_base, write_ptr, chain, fileno } = ioFile.decode(raw);
		if ((flags & MAGIC_MASK) >>> 0 !== MAGIC) return undefined;
		// streams of memory (fmemopen, open_memstream) have none
		if (fileno >= 0 && fileno < MOST_DESCRIPTORS && !found.has(fileno))
			found.set(fileno, {
				number: fileno,
				reads: (flags & NO_READS) === 0,
				writes: (flags & NO_WRITES) === 0,
				appends: (flags & APPENDS) !== 0,
				unwritten: write_ptr > write_base ? Number(BigInt.asUintN(31, write_ptr - write_base)) : 0,
			});
		next = chain;
	}
	return [...found.values()].sort((a, b) => a.number - b.number);
}

/** Says of a stream that its file is closed now. */
export function stdioFinding({ number, reads, writes, appends, unwritten }: StdioFile): Finding {
	const how = reads && writes ? "to read and write" : reads ? "to read" : appends ? "to append" : "to write";
	const waiting = unwritten === 0 ? "" : ` with ${unwritten} bytes that were not written yet`;
	return loss(
		"descriptor-deduced",
		`descriptor ${number}`,
		`a file of stdio was open on it ${how}${waiting}; its name is not in a core: it is closed, unless --fd ${number}=PATH opens it again`,
	);
}
