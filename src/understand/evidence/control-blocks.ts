import { type Address, address, plus } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { PartialMemory, PartialThread } from "../../forest/partial-task.ts";
import { robustListHead } from "../../linux/futex.ts";

/** A thread's control block: what its libc keeps at fs_base. */
export interface ControlBlock {
	readonly tid: number;
	readonly at: Address;
	readonly bytes: Buffer;
}

/** Where, in bytes from fs_base, the libc of the core keeps what the kernel has to know. */
export interface ControlLayout {
	readonly libc: "glibc" | "musl";
	/** Thread id, 32 bits. */
	readonly tid: number;
	/** Robust list head; absent where none was registered. */
	readonly robustList?: number;
	/** The ids there are not those of the core: it was written in another pid namespace. */
	readonly foreignIds: boolean;
}

/** `struct pthread` of every glibc and musl is smaller. */
const LARGEST = 0xb00n;

/** In a row: glibc's `tid` and a pad, `robust_prev`, `robust_head` (nptl/descr.h). */
const GLIBC_TID_BEFORE_HEAD = 16;
const GLIBC_PREV_BEFORE_HEAD = 8;

/** musl's `struct pthread` (src/internal/pthread_impl.h): the list of all threads, and the id behind the canary. */
const MUSL = { prev: 16, next: 24, firstAfterCanary: 48 } as const;

/** Locks that one thread can hold before its list is taken for garbage; the kernel's own bound (ROBUST_LIST_LIMIT). */
const MOST_LOCKS = 2048;

/** Of all lists together. */
const MOST_STEPS = 1 << 20;

/** The control blocks of a core: those of threads whose fs_base points at itself, as every libc's does on x86-64. */
export function controlBlocks(threads: readonly PartialThread[], memory: PartialMemory): ControlBlock[] {
	const taken = new Set<bigint>();
	return threads.flatMap(({ tid, registers: { fs_base } }) => {
		const at = address(fs_base);
		const mapping = rangeAt(memory.mappings, at);
		if (mapping === undefined || taken.has(at)) return [];
		const room = mapping.end - at;
		const bytes = memory.read(at, Number(room < LARGEST ? room : LARGEST));
		if (bytes === undefined || bytes.length < 64 || bytes.readBigUInt64LE(0) !== at) return [];
		taken.add(at);
		return [{ tid, at, bytes }];
	});
}

/** The layout that all blocks agree on; `undefined` when none is proved. */
export const layoutOf = (blocks: readonly ControlBlock[], memory: PartialMemory): ControlLayout | undefined =>
	blocks.length === 0 ? undefined : (glibcLayout(blocks, memory) ?? muslLayout(blocks));

/**
 * glibc: a robust list that leads back to its head, the same distance to the lock in all threads, `robust_prev` in front of
 * it, and in front of that the thread's id.
 */
function glibcLayout(blocks: readonly ControlBlock[], memory: PartialMemory): ControlLayout | undefined {
	const budget = { steps: MOST_STEPS };
	for (const head of offsetsIn(blocks, GLIBC_TID_BEFORE_HEAD + MUSL.firstAfterCanary, robustListHead.size, 8)) {
		const distance = blocks[0]?.bytes.readBigInt64LE(head + robustListHead.offsetOf("futex_offset"));
		if (distance === undefined || !isNear(distance)) continue;
		if (!blocks.every((block) => isRobustList(block, head, distance, memory, budget))) continue;
		const tid = head - GLIBC_TID_BEFORE_HEAD;
		const ids = blocks.map(({ bytes }) => bytes.readInt32LE(tid));
		const own = blocks.every((block, i) => block.tid === ids[i]);
		if (own) return { libc: "glibc", tid, robustList: head, foreignIds: false };
		if (ids.every((id) => id > 0 && id < 1 << 22) && new Set(ids).size === ids.length)
			return { libc: "glibc", tid, robustList: head, foreignIds: true };
	}
	return undefined;
}

/** A lock is 4 bytes, near its entry in the list, and never is it. */
const isNear = (distance: bigint): boolean =>
	distance !== 0n && distance >= -4096n && distance <= 4096n && distance % 4n === 0n;

/** A list of locks at that distance, which leads back to its head; `robust_prev` is the last of them, or the head of none. */
function isRobustList(
	{ at, bytes }: ControlBlock,
	head: number,
	distance: bigint,
	memory: PartialMemory,
	budget: { steps: number },
): boolean {
	const self = plus(at, BigInt(head));
	const { list, futex_offset } = robustListHead.decode(bytes.subarray(head));
	const last = bytes.readBigUInt64LE(head - GLIBC_PREV_BEFORE_HEAD);
	if (futex_offset !== distance || (list === self) !== (last === self) || last === 0n) return false;
	let next = list & ~1n;
	for (let locks = 0; next !== self; locks++) {
		const entry = locks < MOST_LOCKS && budget.steps-- > 0 ? memory.read(address(next), 8) : undefined;
		if (entry === undefined) return false;
		next = entry.readBigUInt64LE(0) & ~1n;
	}
	return true;
}

/**
 * musl: `next` leads through all threads and back, `prev` the other way. Its robust list is registered with the first robust
 * lock, which sets the distance to the lock.
 */
function muslLayout(blocks: readonly ControlBlock[]): ControlLayout | undefined {
	const byPlace = new Map<bigint, ControlBlock>(blocks.map((block) => [block.at, block]));
	const linked = blocks.every((block) => {
		const next = byPlace.get(block.bytes.readBigUInt64LE(MUSL.next));
		const prev = byPlace.get(block.bytes.readBigUInt64LE(MUSL.prev));
		return next?.bytes.readBigUInt64LE(MUSL.prev) === block.at && prev?.bytes.readBigUInt64LE(MUSL.next) === block.at;
	});
	if (!linked) return undefined;
	for (const tid of offsetsIn(blocks, MUSL.firstAfterCanary, 4, 4))
		if (blocks.every((block) => block.bytes.readInt32LE(tid) === block.tid))
			return { libc: "musl", tid, foreignIds: false };
	return undefined;
}

/** Offsets at which every block has `size` bytes. */
function* offsetsIn(blocks: readonly ControlBlock[], from: number, size: number, step: number): Generator<number> {
	const end = Math.min(...blocks.map(({ bytes }) => bytes.length)) - size;
	for (let offset = from; offset <= end; offset += step) yield offset;
}
