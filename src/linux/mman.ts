import { flagWords } from "./flag-words.ts";

/** Protections of mmap(2). ELF's `p_flags` have other values: PF_X is 1, PF_R is 4. */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;

/** Flags of mmap(2) on x86-64 (include/uapi/asm-generic/mman-common.h, mman.h, linux/mman.h). */
export const MAP = {
	SHARED: 0x1,
	PRIVATE: 0x2,
	/** SHARED with refusal of unknown flags: a value of its own, not a bit. */
	SHARED_VALIDATE: 0x3,
	/** Memory that may vanish under pressure (kernels >= 6.11): a value of its own. */
	DROPPABLE: 0x8,
	FIXED: 0x10,
	ANONYMOUS: 0x20,
	"32BIT": 0x40,
	GROWSDOWN: 0x100,
	DENYWRITE: 0x800,
	EXECUTABLE: 0x1000,
	LOCKED: 0x2000,
	NORESERVE: 0x4000,
	POPULATE: 0x8000,
	NONBLOCK: 0x1_0000,
	STACK: 0x2_0000,
	HUGETLB: 0x4_0000,
	SYNC: 0x8_0000,
	FIXED_NOREPLACE: 0x10_0000,
} as const;

/** The bits of SHARED, PRIVATE, SHARED_VALIDATE and DROPPABLE. */
export const MAP_TYPE = 0xf;

/** With HUGETLB: where the binary logarithm of the page size begins. 21 is 2 MiB, 30 is 1 GiB, 0 the default. */
export const MAP_HUGE_SHIFT = 26;
export const MAP_HUGE_MASK = 0x3f;

/** Advice of madvise(2). RANDOM, SEQUENTIAL and the pairs that switch something on and off last; the rest are deeds. */
export const MADV = {
	NORMAL: 0,
	RANDOM: 1,
	SEQUENTIAL: 2,
	WILLNEED: 3,
	DONTNEED: 4,
	FREE: 8,
	REMOVE: 9,
	DONTFORK: 10,
	DOFORK: 11,
	MERGEABLE: 12,
	UNMERGEABLE: 13,
	HUGEPAGE: 14,
	NOHUGEPAGE: 15,
	DONTDUMP: 16,
	DODUMP: 17,
	WIPEONFORK: 18,
	KEEPONFORK: 19,
	COLD: 20,
	PAGEOUT: 21,
	POPULATE_READ: 22,
	POPULATE_WRITE: 23,
	DONTNEED_LOCKED: 24,
	COLLAPSE: 25,
	HWPOISON: 100,
	SOFT_OFFLINE: 101,
	GUARD_INSTALL: 102,
	GUARD_REMOVE: 103,
} as const;

/** Flags of mremap(2) (include/uapi/linux/mman.h). */
export const MREMAP = { MAYMOVE: 1, FIXED: 2, DONTUNMAP: 4 } as const;

/** Flags of memfd_create(2) (include/uapi/linux/memfd.h). With HUGETLB the page size is told as for mmap(2). */
export const MFD = { CLOEXEC: 1, ALLOW_SEALING: 2, HUGETLB: 4, NOEXEC_SEAL: 8, EXEC: 0x10 } as const;

/** What a memfd no longer allows (F_ADD_SEALS, include/uapi/linux/fcntl.h). */
export const F_SEAL = { SEAL: 1, SHRINK: 2, GROW: 4, WRITE: 8, FUTURE_WRITE: 0x10, EXEC: 0x20 } as const;

/** `r-x`: a protection as /proc/PID/maps prints it, without the letter for sharing. */
export const protText = (prot: number): string =>
	[PROT_READ, PROT_WRITE, PROT_EXEC].map((bit, i) => ((prot & bit) !== 0 ? "rwx".charAt(i) : "-")).join("");

const typeNames: ReadonlyMap<number, string> = new Map([
	[MAP.SHARED, "MAP_SHARED"],
	[MAP.PRIVATE, "MAP_PRIVATE"],
	[MAP.SHARED_VALIDATE, "MAP_SHARED_VALIDATE"],
	[MAP.DROPPABLE, "MAP_DROPPABLE"],
]);

const bitNames = Object.fromEntries(
	Object.entries(MAP)
		.filter(([, bits]) => bits > MAP_TYPE)
		.map(([name, bits]) => [`MAP_${name}`, bits]),
);

/** `MAP_PRIVATE|MAP_ANONYMOUS|MAP_GROWSDOWN`; page sizes as `MAP_HUGE_2MB`, unknown bits in hexadecimal, nothing as `0`. */
export function mapFlagsText(flags: number): string {
	const type = typeNames.get(flags & MAP_TYPE);
	const log = (flags & MAP.HUGETLB) !== 0 ? (flags >>> MAP_HUGE_SHIFT) & MAP_HUGE_MASK : 0;
	const bits = flags & ~(type === undefined ? 0 : MAP_TYPE) & ~(log << MAP_HUGE_SHIFT);
	const words = flagWords(bits, bitNames);
	return [...(type === undefined ? [] : [type]), ...words, ...(log === 0 ? [] : [hugeName(log)])].join("|") || "0";
}

const hugeName = (log: number): string => {
	const thousands = Math.min(Math.floor(log / 10), 3);
	return `MAP_HUGE_${2 ** (log - 10 * thousands)}${["B", "KB", "MB", "GB"][thousands] ?? ""}`;
};
