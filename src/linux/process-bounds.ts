/**
 * The largest processes that this program takes on. The kernel's own ceilings (vm.max_map_count is an int, kernel.pid_max
 * goes to 4,194,304) are further away than what a machine that only looks at a core can hold in memory; these are the
 * largest counts that stay below 300 MiB, and no process is known that comes near.
 */

/** Twice the kernel's usual vm.max_map_count (65,530; include/linux/mm.h, DEFAULT_MAX_MAP_COUNT). */
export const MOST_MAPPINGS = 131_072;

/**
 * As many as the usual vm.max_map_count has room for: each thread's stack and the guard below it are two mappings. It is
 * the kernel's first pid_max too (include/linux/threads.h, PID_MAX_DEFAULT).
 */
export const MOST_THREADS = 32_768;
