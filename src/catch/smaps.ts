import { address, type FileOffset, fileOffset } from "../bytes/address.ts";
import type { Range } from "../bytes/range.ts";
import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";

/** One mapping of a living process, as /proc/PID/smaps shows it. */
export interface LiveMapping extends Range {
	/** Bits of mmap(2). */
	readonly prot: number;
	readonly shared: boolean;
	/** Bytes into the file. */
	readonly offset: FileOffset;
	/** Path, `[stack]` and the like, or empty; newlines as `\012`, as the kernel prints them. */
	readonly name: string;
	/** Whether a file or a shared object is behind it. */
	readonly backed: boolean;
	/** Bytes that it has of its own: anonymous pages, in memory or swapped out. */
	readonly own: bigint;
	/** Two-letter flags of VmFlags. */
	readonly flags: readonly string[];
}

/** Reads /proc/PID/smaps. */
export function mappingsFrom(smaps: string): LiveMapping[] {
	const blocks = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter((block) => block !== "");
	return blocks.map((block) => {
		const [head = ""] = block.split("\n", 1);
		const [, start = "0", end = "0", perms = "", offset = "0", inode = "0", name = ""] =
			/^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ (\d+) *(.*)$/.exec(head) ?? [];
		const amount = (field: string): bigint =>
			BigInt(new RegExp(`^${field}: +(\\d+) kB$`, "m").exec(block)?.[1] ?? 0) << 10n;
		return {
			start: address(BigInt(`0x${start}`)),
			end: address(BigInt(`0x${end}`)),
			prot:
				(perms[0] === "r" ? PROT_READ : 0) | (perms[1] === "w" ? PROT_WRITE : 0) | (perms[2] === "x" ? PROT_EXEC : 0),
			shared: perms[3] === "s",
			offset: fileOffset(BigInt(`0x${offset}`)),
			name,
			backed: inode !== "0",
			own: amount("Anonymous") + amount("Swap") + amount("Private_Hugetlb"),
			flags: /^VmFlags: (.*)$/m.exec(block)?.[1]?.trim().split(" ") ?? [],
		};
	});
}
