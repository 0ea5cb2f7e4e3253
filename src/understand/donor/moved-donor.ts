import type { Finding } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Bounds, Task } from "../../forest/task.ts";
import { layoutMappings, layoutOf } from "./address-layout.ts";
import { type Rebase, rebase } from "./rebase.ts";
import { pairThreads, type ThreadPair } from "./thread-pairs.ts";

/** A donor, and how what it lends is carried over: whatever address it has goes through one {@link rebase}. */
export interface MovedDonor {
	readonly task: Task;
	readonly moved: Rebase;
	/** A pair for each thread of the dead process, oldest first. */
	readonly pairs: readonly ThreadPair[];
	pairOf(thread: { readonly tid: number }): ThreadPair | undefined;
}

/** @param bounds of the dead process: its heap and its stack have no name to be found by. */
export function movedDonor(
	task: Task,
	dead: PartialTask,
	bounds: Bounds,
	report: (finding: Finding) => void,
): MovedDonor {
	const heap = { start: bounds.startBrk, end: bounds.brk };
	const moved = rebase(layoutOf(task.memory), {
		mappings: layoutMappings(dead.memory, task.memory.executable),
		...(heap.start < heap.end ? { heap } : {}),
		startStack: bounds.startStack,
	});
	const pairs = pairThreads(dead, task, report);
	const byTid = new Map(pairs.map((pair) => [pair.dead.tid, pair]));
	return { task, moved, pairs, pairOf: ({ tid }) => byTid.get(tid) };
}
