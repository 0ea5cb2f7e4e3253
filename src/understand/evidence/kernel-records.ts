import { type Address, hex, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { caution, type Finding, note } from "../../finding.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { Thread } from "../../forest/task.ts";
import { type ControlBlock, type ControlLayout, controlBlocks, layoutOf } from "./control-blocks.ts";
import { type OpenObject, variablesOf } from "./program-objects.ts";
import { type RseqLayout, rseqLayout, rseqOf } from "./rseq-areas.ts";

/** What a thread had registered with the kernel, and where its libc keeps its id. */
export type ThreadRecords = Pick<Thread, "clearTid" | "robustList" | "rseq" | "tidWords">;

/** Where musl's threads have the kernel write when they end: the lock of its thread list (src/thread/pthread_create.c). */
export const MUSL_LOCK = "__thread_list_lock";
const MUSL = { objects: /\/(?:ld-musl|libc)[-.][^/]*$/ };

/** What libc had registered with the kernel, as thread control blocks tell. */
export interface KernelRecords {
	/** Of a thread; `undefined` where it has no control block, or nobody knows its layout (Go, no libc, an unknown libc). */
	of(thread: Pick<PartialThread, "tid">): ThreadRecords | undefined;
	/** Why nobody has any. */
	readonly lack?: string;
	/** The word that musl's threads have cleared was not found: its symbols were stripped. */
	readonly lockUnknown?: true;
	readonly findings: readonly Finding[];
}

/** The records of all threads. */
export function kernelRecords(dead: PartialTask, open: OpenObject): KernelRecords {
	const { threads, memory } = dead;
	const blocks = controlBlocks(threads, memory);
	const layout = layoutOf(blocks, memory);
	if (layout === undefined) {
		const lack = blocks.length === 0 ? "no control block of a libc" : "control blocks of an unknown libc";
		return { of: () => undefined, lack, findings: [] };
	}
	const rseq = layout.libc === "glibc" ? rseqLayout(blocks, memory, open) : undefined;
	const lock = layout.libc === "musl" ? threadListLock(memory, open) : undefined;
	const byTid = new Map(blocks.map((block) => [block.tid, block]));
	return {
		of: ({ tid }) => {
			const block = byTid.get(tid);
			if (block === undefined) return undefined;
			const registered = rseq === undefined ? undefined : rseqOf(block, rseq, memory);
			const word = plus(block.at, BigInt(layout.tid));
			const clearTid = layout.libc === "glibc" ? word : lock;
			return {
				tidWords: [word],
				...defined({ clearTid }),
				...(layout.robustList === undefined ? {} : { robustList: plus(block.at, BigInt(layout.robustList)) }),
				...defined({ rseq: registered }),
			};
		},
		...(layout.libc === "musl" && lock === undefined ? { lockUnknown: true } : {}),
		findings: layoutFindings(layout, rseq, blocks, memory),
	};
}

const threadListLock = (memory: PartialMemory, open: OpenObject): Address | undefined => {
	for (const variables of variablesOf(memory, open, MUSL, [MUSL_LOCK])) {
		const at = variables.get(MUSL_LOCK);
		if (at !== undefined) return at;
	}
	return undefined;
};

function layoutFindings(
	{ libc, tid, robustList, foreignIds }: ControlLayout,
	rseq: RseqLayout | undefined,
	blocks: readonly ControlBlock[],
	memory: PartialMemory,
): Finding[] {
	const registered =
		rseq === undefined ? 0 : blocks.filter((block) => rseqOf(block, rseq, memory) !== undefined).length;
	const places = [
		`thread id at fs_base+${hex(tid)}`,
		robustList === undefined ? "no robust list" : `robust list at +${hex(robustList)}`,
		rseq === undefined || registered === 0
			? "no rseq area"
			: `rseq area at ${rseq.offset < 0n ? `-${hex(-rseq.offset)}` : `+${hex(rseq.offset)}`}${registered === blocks.length ? "" : ` (${registered} registered)`}`,
	];
	const told = note("thread-deduced", counted(blocks.length), `control blocks of ${libc}: ${places.join(", ")}`);
	if (!foreignIds) return [told];
	return [
		told,
		caution(
			"thread-state",
			counted(blocks.length),
			"the thread ids in memory are those of another pid namespace than the core's",
		),
	];
}

/** `3 threads` */
export const counted = (threads: number): string => `${threads} thread${threads === 1 ? "" : "s"}`;
