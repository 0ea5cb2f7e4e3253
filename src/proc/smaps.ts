import { type Address, address, type FileOffset, fileOffset } from "../bytes/address.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";

/** One VMA of /proc/PID/smaps (fs/proc/task_mmu.c). */
export interface SmapsEntry {
	readonly start: Address;
	readonly end: Address;
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
	/** Bytes in a page: more than 4096 for huge pages that were asked for (hugetlbfs). */
	readonly pageSize: number;
	/** Bytes in memory or swapped out, of files too. */
	readonly touched: bigint;
	/** pkeys(7); 0 is everybody's, and what processors without them have. */
	readonly protectionKey: number;
	/** The two-letter words of VmFlags. */
	readonly flags: ReadonlySet<string>;
}

const header = /^([0-9a-f]+)-([0-9a-f]+) (...)(.) ([0-9a-f]+) ([0-9a-f]+:[0-9a-f]+) (\d+) *(.*)$/s;

/** Entries ascend; lines that are not known are passed over. */
export function readSmaps(text: string): readonly SmapsEntry[] {
	const entries: SmapsEntry[] = [];
	let open: { -readonly [K in keyof SmapsEntry]: SmapsEntry[K] } | undefined;
	for (const line of text.split("\n")) {
		const found = isDigit(line.charCodeAt(0)) ? header.exec(line) : null;
		if (found !== null) {
			open = entryOf(found);
			entries.push(open);
			continue;
		}
		if (open === undefined) continue;
		if (line.startsWith("KernelPageSize:")) open.pageSize = Number(bytesOf(line));
		else if (/^(?:Rss|Swap|Shared_Hugetlb|Private_Hugetlb):/.test(line)) open.touched += bytesOf(line);
		else if (line.startsWith("ProtectionKey:")) open.protectionKey = Number(line.slice(14));
		else if (line.startsWith("VmFlags:")) open.flags = new Set(line.slice(8).trim().split(" "));
	}
	return entries;
}

/** Headers begin with a lower-case hexadecimal digit, everything else with a capital. */
const isDigit = (code: number): boolean => (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);

/** `Rss:   12 kB` */
const bytesOf = (line: string): bigint => BigInt(/\d+/.exec(line)?.[0] ?? 0) * 1024n;

function entryOf([, start, end, perms = "", sharing, offset, device = "", inode, name = ""]: RegExpExecArray) {
	return {
		start: address(BigInt(`0x${start}`)),
		end: address(BigInt(`0x${end}`)),
		prot: (perms[0] === "r" ? PROT_READ : 0) | (perms[1] === "w" ? PROT_WRITE : 0) | (perms[2] === "x" ? PROT_EXEC : 0),
		shared: sharing === "s",
		offset: fileOffset(BigInt(`0x${offset}`)),
		device,
		inode: BigInt(inode ?? 0),
		// the one character that the kernel does not print as it is
		name: name.replaceAll("\\012", "\n"),
		pageSize: 4096,
		touched: 0n,
		protectionKey: 0,
		flags: new Set<string>(),
	};
}
