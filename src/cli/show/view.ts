import type { Registers } from "../../arch/architecture.ts";
import type { Xstate } from "../../arch/x86-64/xstate.ts";
import { address, type FileOffset } from "../../bytes/address.ts";
import { type Range, rangeAt } from "../../bytes/range.ts";
import type { Backing } from "../../forest/task.ts";
import type { Call } from "./call.ts";

/* The common view of cores and images, from which both are printed. */

export interface MappingView extends Range {
	/** PROT_ bits, where known. */
	readonly prot?: number;
	/** Whether MAP_SHARED; a core does not say. */
	readonly shared?: boolean;
	readonly kind: Exclude<Backing["kind"], "anonymous"> | "anonymous" | "heap" | "stack";
	/** What people call it: `[heap]`, `[stack]`, `anonymous`; may hold the name of a memfd. Of files, their path. */
	readonly label: string;
	readonly path?: string;
	/** Bytes into the file or object. */
	readonly offset?: FileOffset;
	readonly deleted?: boolean;
	/** Words on it: MAP_ flags, advice. */
	readonly remarks: readonly string[];
	/** Bytes of it that the core or the pages files hold. */
	readonly held: bigint;
	/** Where all other bytes come from; `nowhere`: lost, they read as zeros. */
	readonly rest: "file" | "kernel" | "nowhere";
}

/** What a thread's processor held, whatever processor that was. */
export interface ProcessorView {
	/** Where it stood. */
	readonly ip: bigint;
	/** The system call that it was in; `undefined` where the core does not say whether it was in one. */
	readonly call: Call | "none" | undefined;
	/** General registers under the kernel's names, in its order. */
	registers(): Readonly<Record<string, bigint>>;
	readonly xstate?: Xstate;
	/** What else its notes say, of another processor than x86-64. */
	readonly processor?: Readonly<Record<string, Readonly<Record<string, string>>>>;
	/** All of it for people. Without indentation. */
	lines(): readonly string[];
}

export interface ThreadView extends ProcessorView {
	readonly tid: number;
	readonly name?: string;
	readonly leader: boolean;
	/** It took the fatal signal. */
	readonly died: boolean;
	/** Where known. */
	readonly blocked?: bigint;
	/** Signal numbers. */
	readonly pending: readonly number[];
	readonly shadowStack?: bigint;
}

/** Which mappings hold stack pointers, each with the first thread that points there. */
export function stacksIn<M extends Range>(
	mappings: readonly M[],
	threads: readonly { readonly tid: number; readonly registers: Registers }[],
): ReadonlyMap<M, number> {
	const stacks = new Map<M, number>();
	for (const { tid, registers } of threads) {
		const mapping = rangeAt(mappings, address(registers.sp));
		if (mapping !== undefined && !stacks.has(mapping)) stacks.set(mapping, tid);
	}
	return stacks;
}

/** Sums over all mappings, in bytes. `held` and the other three make up `mapped`. */
export interface Totals {
	readonly mapped: bigint;
	readonly held: bigint;
	readonly file: bigint;
	readonly kernel: bigint;
	readonly nowhere: bigint;
}

export function totalsOf(mappings: readonly MappingView[]): Totals {
	const sums = { mapped: 0n, held: 0n, file: 0n, kernel: 0n, nowhere: 0n };
	for (const { start, end, held, rest, kind } of mappings) {
		// guard regions lie inside other mappings
		if (kind === "guard") continue;
		sums.mapped += end - start;
		sums.held += held;
		sums[rest] += end - start - held;
	}
	return sums;
}

/** A mapped file. */
export interface FileView {
	readonly path: string;
	readonly deleted: boolean;
	/** Lower-case hex, where known. */
	readonly buildId?: string;
	/** How many mappings show it. */
	readonly mappings: number;
	/** It is the program that ran. */
	readonly executable: boolean;
	/** Bytes of the file, where known. */
	readonly size?: bigint;
	/** st_mode, where known. */
	readonly mode?: number;
}

/** The mapped files, the executable first and the others by path. */
export function filesOf(
	mappings: readonly MappingView[],
	executable: string,
	known: (path: string) => Pick<FileView, "buildId" | "size" | "mode">,
): FileView[] {
	const counts = new Map<string, { count: number; deleted: boolean }>([[executable, { count: 0, deleted: false }]]);
	for (const { kind, path, deleted } of mappings) {
		if (kind !== "file" || path === undefined) continue;
		const { count } = counts.get(path) ?? { count: 0 };
		counts.set(path, { count: count + 1, deleted: deleted ?? false });
	}
	const order = (path: string): string => (path === executable ? "" : path);
	return [...counts]
		.sort(([a], [b]) => (order(a) < order(b) ? -1 : 1))
		.map(([path, { count, deleted }]) => ({
			path,
			deleted,
			mappings: count,
			executable: path === executable,
			...known(path),
		}));
}
