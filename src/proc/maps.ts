import { address, type FileOffset, fileOffset } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** One VMA of /proc/PID/maps (fs/proc/task_mmu.c, show_map_vma). */
export interface MapsEntry extends Range {
	/** PROT_ bits. */
	readonly prot: number;
	readonly shared: boolean;
	/** Bytes. */
	readonly offset: FileOffset;
	/** `fe:00`, major and minor in hex. */
	readonly device: string;
	/** 0 where there is no file. */
	readonly inode: bigint;
	/** A path, ` (deleted)` at its end where it has lost that; `[heap]` and its kin; or nothing. */
	readonly name: string;
}

const line = /^([0-9a-f]+)-([0-9a-f]+) (...)(.) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/s;

/** Ascending. Of a process that has no memory any more there are none. */
export const readMaps = (whose: Whose): readonly MapsEntry[] => parseMaps(textIn(whose, "maps"));

/** Lines that are no VMA's are passed over. */
export const parseMaps = (text: string): readonly MapsEntry[] =>
	text.split("\n").flatMap((one) => {
		const entry = mapsEntry(one);
		return entry === undefined ? [] : [entry];
	});

/** One line of maps, or the first of a VMA in smaps. */
export function mapsEntry(text: string): MapsEntry | undefined {
	const found = line.exec(text);
	if (found === null) return undefined;
	const [, start, end, perms = "", sharing, offset, device = "", inode = "0", name = ""] = found;
	return {
		start: address(BigInt(`0x${start}`)),
		end: address(BigInt(`0x${end}`)),
		prot: (perms[0] === "r" ? PROT_READ : 0) | (perms[1] === "w" ? PROT_WRITE : 0) | (perms[2] === "x" ? PROT_EXEC : 0),
		shared: sharing === "s",
		offset: fileOffset(BigInt(`0x${offset}`)),
		device,
		inode: BigInt(inode),
		// the one character that the kernel does not print as it is
		name: name.replaceAll("\\012", "\n"),
	};
}

/** The VMAs of the vdso, which is the last, and of its data: ascending and without gaps. */
export const vdsoAreas = (entries: readonly MapsEntry[]): readonly MapsEntry[] =>
	entries.filter(({ name }) => /^\[(?:vvar|vvar_vclock|vdso)\]$/.test(name));
