import { type Address, hex, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { caution, type Finding, note } from "../../finding.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { Thread } from "../../forest/task.ts";
import { type ControlBlock, type ControlLayout, controlBlocks, layoutOf } from "./control-blocks.ts";
import { type OpenObject, variablesOf } from "./program-objects.ts";
import { type RseqLayout, rseqLayout, rseqOf } from "./rseq-areas.ts";

/** What a thread had registered with the kernel, and where its libc keeps its id. */
export type KernelRecords = Pick<Thread, "clearTid" | "robustList" | "rseq" | "tidWords">;

/** Where musl's threads have the kernel write when they end: the lock of its thread list (src/thread/pthread_create.c). */
const MUSL_LOCK = "__thread_list_lock";
const MUSL = { objects: /\/(?:ld-musl|libc)[-.][^/]*$/ };

/**
 * What libc had registered with the kernel for each thread, from the thread control blocks. Nothing without those (Go, no libc,
 * an unknown libc).
 */
export function kernelRecords(
	dead: PartialTask,
	open: OpenObject,
	report: (finding: Finding) => void,
): (thread: PartialThread) => KernelRecords {
	const { threads, memory } = dead;
	const blocks = controlBlocks(threads, memory);
	const layout = layoutOf(blocks, memory);
	if (layout === undefined) {
		const what = blocks.length === 0 ? "no control block of a libc" : "control blocks of an unknown libc";
		report(
			caution(
				"thread-state",
				counted(threads.length),
				`${what} at fs_base; no robust list, rseq area or word to clear is registered, and whoever joins a thread waits for ever`,
			),
		);
		return () => ({});
	}
	const rseq = layout.libc === "glibc" ? rseqLayout(blocks, memory, open) : undefined;
	const lock = layout.libc === "musl" ? threadListLock(memory, open) : undefined;
	const byTid = new Map(blocks.map((block) => [block.tid, block]));
	reportLayout(layout, rseq, blocks, memory, report);
	if (layout.libc === "musl" && lock === undefined)
		report(
			caution(
				"thread-state",
				counted(threads.length),
				`${MUSL_LOCK} of musl was not found (a stripped libc); it is not cleared when one of them ends, and whoever makes or ends a thread after that waits for ever`,
			),
		);
	return ({ tid }) => {
		const block = byTid.get(tid);
		if (block === undefined) {
			report(
				caution(
					"thread-state",
					`thread ${tid}`,
					"has no control block of its own; no robust list, rseq area or word to clear is registered",
				),
			);
			return {};
		}
		const registered = rseq === undefined ? undefined : rseqOf(block, rseq, memory);
		const word = plus(block.at, BigInt(layout.tid));
		const clearTid = layout.libc === "glibc" ? word : lock;
		return {
			tidWords: [word],
			...defined({ clearTid }),
			...(layout.robustList === undefined ? {} : { robustList: plus(block.at, BigInt(layout.robustList)) }),
			...defined({ rseq: registered }),
		};
	};
}

const threadListLock = (memory: PartialMemory, open: OpenObject): Address | undefined => {
	for (const variables of variablesOf(memory, open, MUSL, [MUSL_LOCK])) {
		const at = variables.get(MUSL_LOCK);
		if (at !== undefined) return at;
	}
	return undefined;
};

function reportLayout(
	{ libc, tid, robustList, foreignIds }: ControlLayout,
	rseq: RseqLayout | undefined,
	blocks: readonly ControlBlock[],
	memory: PartialMemory,
	report: (finding: Finding) => void,
): void {
	const registered =
		rseq === undefined ? 0 : blocks.filter((block) => rseqOf(block, rseq, memory) !== undefined).length;
	const places = [
		`thread id at fs_base+${hex(tid)}`,
		robustList === undefined ? "no robust list" : `robust list at +${hex(robustList)}`,
		rseq === undefined || registered === 0
			? "no rseq area"
			: `rseq area at ${rseq.offset < 0n ? `-${hex(-rseq.offset)}` : `+${hex(rseq.offset)}`}${registered === blocks.length ? "" : ` (${registered} registered)`}`,
	];
	report(note("thread-deduced", counted(blocks.length), `control blocks of ${libc}: ${places.join(", ")}`));
	if (foreignIds)
		report(
			caution(
				"thread-state",
				counted(blocks.length),
				"the thread ids in memory are those of another pid namespace than the core's",
			),
		);
}

const counted = (threads: number): string => `${threads} thread${threads === 1 ? "" : "s"}`;
