/**
 * The largest processes that this program takes on. The kernel's own ceilings (vm.max_map_count is an int, kernel.pid_max
 * goes to 4,194,304) are further away than what a program that only looks at a core may hold in memory: these counts, both
 * at once, stay below 300 MiB.
 */

/** The kernel's usual vm.max_map_count is 65,530 (include/linux/mm.h, DEFAULT_MAX_MAP_COUNT). */
export const MOST_MAPPINGS = 65_536;

/** The usual vm.max_map_count has room for twice as many: each thread's stack and the guard below it are two mappings. */
export const MOST_THREADS = 16_384;
