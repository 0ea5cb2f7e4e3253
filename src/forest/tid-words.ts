import { type Address, address, plus } from "../bytes/address.ts";
import { readAt } from "../bytes/extent.ts";
import type { Memory, Thread } from "./task.ts";

/**
 * Where a thread library keeps the id of a thread, found by looking: 32-bit words that hold it. glibc has the kernel clear that
 * very word when the thread ends (set_tid_address(2), `pthread.tid`); musl another, and keeps the id 0x30 bytes into what fs
 * points at, a `struct pthread` that begins with its own address.
 *
 * Programs without a thread library (Go) have no such word, and call gettid(2).
 *
 * @returns `tidWords` of the thread when it has some.
 */
export function tidWordsOf(thread: Thread, { contents }: Pick<Memory, "contents">): readonly Address[] {
	const { tid, tidWords, clearTid, registers } = thread;
	if (tidWords !== undefined) return tidWords;
	const isTid = (at: Address): boolean => readAt(contents, at, 4)?.readInt32LE() === tid;
	const base = address(registers.fs_base);
	const isMusl = base !== 0n && readAt(contents, base, 8)?.readBigUInt64LE() === base && isTid(plus(base, MUSL_TID));
	const candidates = [
		...(clearTid === undefined ? [] : [clearTid].filter(isTid)),
		...(isMusl ? [plus(base, MUSL_TID)] : []),
	];
	return [...new Set(candidates)];
}

/** Whether a thread held robust mutexes: the list at its head is not empty (set_robust_list(2)). Their words name it. */
export function holdsRobustMutexes({ robustList }: Thread, { contents }: Pick<Memory, "contents">): boolean {
	if (robustList === undefined) return false;
	const first = readAt(contents, robustList, 8)?.readBigUInt64LE();
	return first !== undefined && first !== 0n && first !== robustList;
}

/** `tid` of musl's `struct pthread` (src/internal/pthread_impl.h): self, dtv, prev, next, sysinfo and canary come before. */
const MUSL_TID = 0x30n;
