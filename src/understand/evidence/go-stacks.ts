import { type Address, address, hex, plus } from "../../bytes/address.ts";
import { rangeAt } from "../../bytes/range.ts";
import { type Finding, note } from "../../finding.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { AlternateStack } from "../../forest/task.ts";
import { PROT_WRITE } from "../../linux/mman.ts";
import { SMALLEST_ALTERNATE_STACK } from "../../linux/signal.ts";

/**
 * `struct g` of Go's runtime (runtime/runtime2.go): the bounds of its stack come first, offsets that its linker and cgo rely on;
 * `m`, its thread, is at the same place from Go 1.4 to 1.25.
 */
const G = { low: 0, high: 8, m: 48, size: 56 } as const;

/** `struct m`: `g0` first, then what differs between releases, `procid` (the thread's id) and right behind it `gsignal`. */
const M = { g0: 0, procidAtLeast: 8, searched: 256 } as const;

/** The current g is a thread-local variable of the executable (runtime.tlsg), whose variables lie right below fs_base; bytes. */
const TLS = 512n;

/** Go's own are 32 KiB (runtime/os_linux.go, mpreinit), those that cgo found on a thread as large as C made them. */
const LARGEST = 64n << 20n;

/** A thread's id is less (PID_MAX_LIMIT, include/linux/threads.h). */
const MOST_TID = 1n << 22n;

/** An id that an `m` holds in front of its `gsignal`, and the stack of that. */
interface Candidate {
	readonly offset: number;
	readonly id: bigint;
	readonly stack: AlternateStack;
}

/**
 * The alternate signal stacks of Go's threads, by their ids: the runtime registers for each the stack of its `gsignal`, and
 * notes there one that C had registered before (runtime/signal_unix.go, minitSignalStack). Believed where `g`, `m`, `g0`
 * and `gsignal` point at one another and `procid` is the thread's own id, at one distance in all of them; where the process
 * had other ids once (it was raised with new ones), ids that are no two alike will do. Threads without a current g are not
 * Go's: of theirs this says nothing.
 */
export function goSignalStacks({
	threads,
	memory,
}: Pick<PartialTask, "threads" | "memory">): ReadonlyMap<number, AlternateStack> {
	const found = threads.map((thread) => ({ tid: thread.tid, candidates: candidatesOf(thread, memory) }));
	const ofGo = found.filter(({ candidates }) => candidates.length > 0);
	const offsets = new Set(ofGo.flatMap(({ candidates }) => candidates.map(({ offset }) => offset)));
	const at = (offset: number): ReadonlyMap<number, Candidate> =>
		new Map(
			ofGo.flatMap(({ tid, candidates }) => {
				const found = candidates.find((candidate) => candidate.offset === offset);
				return found === undefined ? [] : [[tid, found] as const];
			}),
		);
	const agreed = [...offsets].map(at).filter((ms) => ms.size === ofGo.length);
	const own = agreed.filter((ms) => [...ms].every(([tid, { id }]) => id === BigInt(tid)));
	const foreign = agreed.filter((ms) => new Set([...ms.values()].map(({ id }) => id)).size === ms.size);
	const proved = own.length > 0 ? own : foreign;
	const [only] = proved;
	if (only === undefined || proved.length > 1) return new Map();
	return new Map([...only].map(([tid, { stack }]) => [tid, stack]));
}

function candidatesOf({ registers }: PartialThread, memory: PartialMemory): Candidate[] {
	const pointers = addressesBelow(address(registers.fs_base), memory);
	const ms = new Set(pointers.flatMap((at) => threadOfG(at, memory) ?? []));
	// fs_base of a program without cgo lies in the m itself, whose words lead to more than one g, but to one m
	for (const m of ms) {
		if (threadOfG(wordAt(m, M.g0, memory), memory) !== m) continue;
		const bytes = memory.read(m, M.searched);
		if (bytes === undefined) continue;
		const candidates: Candidate[] = [];
		for (let offset = M.procidAtLeast; offset + 16 <= bytes.length; offset += 8) {
			const id = bytes.readBigUInt64LE(offset);
			const gsignal = address(bytes.readBigUInt64LE(offset + 8));
			if (id === 0n || id >= MOST_TID || threadOfG(gsignal, memory) !== m) continue;
			const stack = stackOfG(gsignal, memory);
			if (stack !== undefined) candidates.push({ offset, id, stack });
		}
		return candidates;
	}
	return [];
}

/** The words right below a thread pointer that are no small numbers. */
function addressesBelow(pointer: Address, memory: PartialMemory): Address[] {
	const mapping = rangeAt(memory.mappings, pointer);
	if (mapping === undefined || pointer % 8n !== 0n) return [];
	const room = pointer - mapping.start < TLS ? pointer - mapping.start : TLS;
	const bytes = memory.read(plus(pointer, -room), Number(room));
	if (bytes === undefined) return [];
	return Array.from({ length: bytes.length / 8 }, (_, i) =>
		address(bytes.readBigUInt64LE(bytes.length - 8 * (i + 1))),
	).filter((word) => rangeAt(memory.mappings, word) !== undefined);
}

const wordAt = (at: Address, offset: number, memory: PartialMemory): Address | undefined => {
	const bytes = memory.read(plus(at, BigInt(offset)), 8);
	return bytes === undefined ? undefined : address(bytes.readBigUInt64LE(0));
};

/** The m that what may be a g says it is run by; `undefined` for what cannot be one. */
function threadOfG(at: Address | undefined, memory: PartialMemory): Address | undefined {
	if (at === undefined || at === 0n || at % 8n !== 0n) return undefined;
	const bytes = memory.read(at, G.size);
	if (bytes === undefined) return undefined;
	const m = address(bytes.readBigUInt64LE(G.m));
	if (m % 8n !== 0n || bytes.readBigUInt64LE(G.low) >= bytes.readBigUInt64LE(G.high)) return undefined;
	return rangeAt(memory.mappings, m) === undefined ? undefined : m;
}

function stackOfG(at: Address, memory: PartialMemory): AlternateStack | undefined {
	const [low, high] = [wordAt(at, G.low, memory), wordAt(at, G.high, memory)];
	if (low === undefined || high === undefined) return undefined;
	const size = high - low;
	if (size < SMALLEST_ALTERNATE_STACK || size > LARGEST) return undefined;
	// the heap may be several mappings side by side
	const held = [low, plus(high, -1n)].every((end) => {
		const mapping = rangeAt(memory.mappings, end);
		return mapping !== undefined && ((mapping.prot ?? PROT_WRITE) & PROT_WRITE) !== 0;
	});
	return held ? { base: low, size, flags: 0 } : undefined;
}

/** Says of all threads at once where their signal stacks are known from. */
export function reportGoStacks(stacks: ReadonlyMap<number, AlternateStack>, report: (finding: Finding) => void): void {
	const [first] = stacks.values();
	if (first === undefined) return;
	report(
		note(
			"thread-deduced",
			stacks.size === 1 ? "a thread of Go" : `${stacks.size} threads of Go`,
			`signal stacks as Go's runtime has them (gsignal), the first at ${hex(first.base)}-${hex(plus(first.base, first.size))}`,
		),
	);
}
