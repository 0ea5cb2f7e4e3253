import { address, plus } from "../../bytes/address.ts";
import { lengthOf } from "../../bytes/range.ts";
import type { PartialMapping, PartialTask } from "../../forest/partial-task.ts";
import { PROT_WRITE } from "../../linux/mman.ts";
import type { StackRecord } from "./stack-guards.ts";

/** A heap of one of glibc's arenas: so large, and aligned so (malloc/arena.c, HEAP_MAX_SIZE on 64-bit machines). */
const HEAP_MAX = 64n << 20n;

/** `struct heap_info`: the arena and the heap before, then how much is in use, and how much may be accessed. */
const HEAP_INFO = { size: 16, accessible: 24, bytes: 32 } as const;

/**
 * Anonymous memory that nothing may access, as glibc's own records have it: the part of an arena's heap that is not in use yet,
 * and the guards of stacks that it made. Cores that do not tell protections show them readable.
 */
export function noAccess(dead: Pick<PartialTask, "memory">, stacks: readonly StackRecord[]): ReadonlySet<bigint> {
	const { mappings } = dead.memory;
	const guards = new Map<bigint, bigint>(stacks.flatMap(({ start, guard }) => (guard > 0n ? [[start, guard]] : [])));
	const closed = (mapping: PartialMapping, below: PartialMapping | undefined): boolean =>
		guards.get(mapping.start) === lengthOf(mapping) || isReserve(mapping, below, dead);
	return new Set(
		mappings.flatMap((mapping, i) => {
			const { start, file, kernel, prot = 0 } = mapping;
			if (file !== undefined || kernel !== undefined || (prot & PROT_WRITE) !== 0) return [];
			return closed(mapping, mappings[i - 1]) ? [start] : [];
		}),
	);
}

/** Whether it is what an arena's heap keeps for later, by the record at the heap's start. */
function isReserve(
	{ start, end }: PartialMapping,
	below: PartialMapping | undefined,
	{ memory }: Pick<PartialTask, "memory">,
): boolean {
	const heap = address(end - HEAP_MAX);
	if (end % HEAP_MAX !== 0n || below?.end !== start || heap < below.start || below.file !== undefined) return false;
	const record = memory.read(heap, HEAP_INFO.bytes);
	if (record === undefined) return false;
	const accessible = record.readBigUInt64LE(HEAP_INFO.accessible);
	return plus(heap, accessible) === start && record.readBigUInt64LE(HEAP_INFO.size) <= accessible;
}
