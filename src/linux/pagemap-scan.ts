import { layout, u64 } from "../bytes/layout.ts";

/** `ioctl` of /proc/PID/pagemap (include/uapi/linux/fs.h; Linux 6.7): which pages of a range are of which kinds. */
export const PAGEMAP_SCAN = 0xc060_6610;

/** `struct pm_scan_arg`. */
export const pmScanArg = layout("pm_scan_arg", {
	/** Bytes of this structure. */
	size: u64,
	flags: u64,
	start: u64,
	end: u64,
	/** Written by the kernel: how far it came. */
	walk_end: u64,
	/** `struct page_region *`. */
	vec: u64,
	/** Regions that it holds. */
	vec_len: u64,
	max_pages: u64,
	/** Categories that count as their opposite. */
	category_inverted: u64,
	/** All of these are asked for. */
	category_mask: u64,
	/** One of these at least is asked for. */
	category_anyof_mask: u64,
	/** What is told of the pages found. */
	return_mask: u64,
});

/** `struct page_region`: neighbours of equal categories are one. */
export const pageRegion = layout("page_region", { start: u64, end: u64, categories: u64 });

/** Categories of a page. */
export const PAGE_IS = {
	/** Of a file or of shared memory: what the mapping would show by itself. */
	FILE: 0x4n,
	PRESENT: 0x8n,
	SWAPPED: 0x10n,
	/** The page of zeros that everybody shares. */
	PFNZERO: 0x20n,
	/** MADV_GUARD_INSTALL (Linux 6.15); it is SWAPPED too. */
	GUARD: 0x100n,
} as const;

/** Bits of the 64-bit words of /proc/PID/pagemap itself (Documentation/admin-guide/mm/pagemap.rst). */
export const PM = { GUARD: 1n << 58n, FILE: 1n << 61n, SWAP: 1n << 62n, PRESENT: 1n << 63n } as const;
