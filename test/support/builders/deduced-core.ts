import { fromBuffer } from "../../../src/bytes/source.ts";
import { readCore } from "../../../src/core/core.ts";
import { taskFromCore } from "../../../src/understand/from-core/from-core.ts";
import type { Understood } from "../../../src/understand/understand.ts";
import { type BuiltCore, buildCore } from "./core-builder.ts";
import { deadCore, deadPlaces, fsBaseOf } from "./pair.ts";
import { type OnHost, understoodAlone } from "./understood.ts";

/*
 * A core that has nobody to lend it anything, with what libcs and programs leave in memory put there by hand. Offsets are
 * from glibc 2.36 (struct pthread), musl 1.2 (src/internal/pthread_impl.h) and libuv 1.46 (uv.h), as gcc prints them.
 */

/** A core with other bytes at an address that it holds. */
export function poke(core: BuiltCore, at: bigint, bytes: Uint8Array): BuiltCore {
	const segments = (core.segments ?? []).map((segment) => {
		const { start, bytes: old } = segment;
		if (old === undefined || at < start || at + BigInt(bytes.length) > start + BigInt(old.length)) return segment;
		const changed = Buffer.from(old);
		changed.set(bytes, Number(at - start));
		return { ...segment, bytes: changed };
	});
	return { ...core, segments };
}

export const words = (...values: readonly bigint[]): Buffer => {
	const raw = Buffer.alloc(8 * values.length);
	for (const [i, value] of values.entries()) raw.writeBigUInt64LE(BigInt.asUintN(64, value), 8 * i);
	return raw;
};

export const ints = (...values: readonly number[]): Buffer => {
	const raw = Buffer.alloc(4 * values.length);
	for (const [i, value] of values.entries()) raw.writeInt32LE(value | 0, 4 * i);
	return raw;
};

export const [TID, ROBUST, RSEQ] = [0x2d0n, 0x2e0n, 0x920n];

export interface GlibcBlock {
	/** What the block says, the thread's own by default. */
	readonly id?: number;
	/** Of the rseq area; 3 by default. */
	readonly cpu?: number;
}

/** glibc's control blocks for all threads: self pointers, id, an empty robust list, an rseq area. */
export function withGlibc(core: BuiltCore, of: (n: number) => GlibcBlock = () => ({})): BuiltCore {
	return tidsOf(core).reduce((made, tid, n) => {
		const { id = tid, cpu = 3 } = of(n);
		const at = fsBaseOf(deadPlaces, n);
		const head = at + ROBUST;
		const self = poke(poke(made, at, words(at)), at + 16n, words(at));
		const listed = poke(poke(self, at + TID, ints(id)), head - 8n, words(head, head, -32n, 0n));
		return poke(listed, at + RSEQ, ints(cpu, cpu));
	}, core);
}

/** musl's: a ring of all threads, and the id behind the canary. */
export function withMusl(core: BuiltCore): BuiltCore {
	const tids = tidsOf(core);
	const bases = tids.map((_, n) => fsBaseOf(deadPlaces, n));
	return tids.reduce((made, tid, n) => {
		const at = bases[n] ?? 0n;
		const [next = at, prev = at] = [bases[(n + 1) % bases.length], bases.at(n - 1)];
		return poke(poke(made, at, words(at, 0n, prev, next, 0n, 0xc0ffeen)), at + 0x30n, ints(tid));
	}, core);
}

/** Oldest first. */
const tidsOf = (core: BuiltCore): number[] => core.threads.map(({ tid }) => tid).sort((a, b) => a - b);

/** A core with one thread's registers changed, by their index in `user_regs_struct`. */
export function withRegisters(core: BuiltCore, tid: number, changes: Readonly<Record<number, bigint>>): BuiltCore {
	const threads = core.threads.map((thread) =>
		thread.tid === tid
			? { ...thread, registers: (thread.registers ?? []).map((value, i) => changes[i] ?? value) }
			: thread,
	);
	return { ...core, threads };
}

/** Indices of a system call's arguments. */
export const ARG = { di: 14, si: 13, dx: 12, r10: 7, orig_ax: 15, ax: 10 } as const;

/** A thread asleep in a system call. */
export const asleepIn = (
	core: BuiltCore,
	tid: number,
	call: number,
	...[di = 0n, si = 0n, dx = 0n, r10 = 0n]: readonly bigint[]
): BuiltCore =>
	withRegisters(core, tid, {
		...{ [ARG.orig_ax]: BigInt(call), [ARG.ax]: -512n & (2n ** 64n - 1n) },
		...{ [ARG.di]: di, [ARG.si]: si, [ARG.dx]: dx, [ARG.r10]: r10 },
	});

/** Deduced on a host without any file, but /dev/null and the root. */
export const deduced = (core: BuiltCore = withGlibc(deadCore()), options: OnHost = {}): Understood =>
	understoodAlone(taskFromCore(readCore(fromBuffer("core", buildCore(core)))), {
		modeOf: (path) => ({ "/": 0o040755, "/dev/null": 0o020666 })[path],
		...options,
	});

/** Findings of one code, as `weight subject: text`. */
export const told = ({ findings }: Understood, code: string): string[] =>
	findings.filter((finding) => finding.code === code).map((it) => `${it.weight} ${it.subject}: ${it.text}`);
