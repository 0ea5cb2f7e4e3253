import { type MapsEntry, mapsEntry } from "./maps.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** One VMA of /proc/PID/smaps (fs/proc/task_mmu.c, show_smap). */
export interface SmapsEntry extends MapsEntry {
	/** Bytes in a page: more than 4096 for huge pages that were asked for (hugetlbfs). */
	readonly pageSize: number;
	/** Bytes in memory or swapped out, of files too. */
	readonly touched: bigint;
	/** pkeys(7); 0 is everybody's, and what processors without them have. */
	readonly protectionKey: number;
	/** The two-letter words of VmFlags. */
	readonly flags: ReadonlySet<string>;
}

export const readSmaps = (whose: Whose): readonly SmapsEntry[] => parseSmaps(textIn(whose, "smaps"));

/** Entries ascend; lines that are not known are passed over. */
export function parseSmaps(text: string): readonly SmapsEntry[] {
	const entries: SmapsEntry[] = [];
	let open: { -readonly [K in keyof SmapsEntry]: SmapsEntry[K] } | undefined;
	for (const line of text.split("\n")) {
		const found = isHexDigit(line.charCodeAt(0)) ? mapsEntry(line) : undefined;
		if (found !== undefined) {
			open = { ...found, pageSize: 4096, touched: 0n, protectionKey: 0, flags: new Set() };
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

/** The line of a VMA begins with a lower-case hexadecimal digit, everything else with a capital. */
const isHexDigit = (code: number): boolean => (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66);

/** `Rss:   12 kB` */
const bytesOf = (line: string): bigint => BigInt(/\d+/.exec(line)?.[0] ?? 0) * 1024n;
