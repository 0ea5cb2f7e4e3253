/**
 * The largest processes that this program takes on: what a kernel may have been set up for, as far as the file is of a size
 * to go with it. What is learned of each mapping and thread is kept in memory, and a file of at most 64 MiB is to cost no
 * more than 300 MiB of it. A process of that many mappings or threads has at least that many pages, and its core holds them:
 * one that claims many and holds little is no kernel's. Of a compressed core the unpacked size counts, of images that of all
 * in the directory.
 */

const PAGE = 4096n;

/** The kernel's usual vm.max_map_count is 65,530 (include/linux/mm.h, DEFAULT_MAX_MAP_COUNT). */
const USUAL_MAPPINGS = 65_536;

/** Distributions set vm.max_map_count to 1,048,576; gate areas and the like come on top. */
const MOST_MAPPINGS = 1_048_576 + 64;

/** Each thread's stack and the guard below it are two mappings: the usual vm.max_map_count has room for twice as many. */
const USUAL_THREADS = 16_384;

/** Far above what is usual: RLIMIT_NOFILE is at most 524,288 where systemd starts programs, and 1024 for those that do not ask. */
const USUAL_DESCRIPTORS = 131_072;

/** fs.nr_open can be set to as many (fs/file.c, sysctl_nr_open_max). */
const MOST_DESCRIPTORS = 0x7fff_ffc0;

/** include/linux/threads.h, PID_MAX_LIMIT. */
const MOST_THREADS = 4_194_304;

/** Mappings that a core of `size` bytes may have. */
export const mostMappings = (size: bigint): number => within(USUAL_MAPPINGS, size / PAGE, MOST_MAPPINGS);

/** Threads that a core of `size` bytes may have. */
export const mostThreads = (size: bigint): number => within(USUAL_THREADS, size / PAGE, MOST_THREADS);

/** Descriptors that a process may have whose images are of `size` bytes together. */
export const mostDescriptors = (size: bigint): number => within(USUAL_DESCRIPTORS, size / PAGE, MOST_DESCRIPTORS);

/**
 * Whether a core of `size` bytes may have all of these at once: a process near one of the limits is well below the others. A note
 * is counted as a sixteenth of a thread: none has more of them.
 */
export const areWithin = (
	size: bigint,
	{ mappings, threads, notes }: { readonly mappings: number; readonly threads: number; readonly notes: number },
): boolean => mappings / mostMappings(size) + (threads + notes / 16) / mostThreads(size) <= MOST_TOGETHER;

const MOST_TOGETHER = 1.125;

const within = (usual: number, pages: bigint, most: number): number =>
	pages < BigInt(usual) ? usual : pages > BigInt(most) ? most : Number(pages);

/** What a count is held against, in words. */
export const atMost = (most: number, size: bigint): string => `expected at most ${most} in ${size} bytes`;
