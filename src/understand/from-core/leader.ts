import type { Registers } from "../../arch/architecture.ts";
import { address } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { rangeAt } from "../../bytes/range.ts";
import type { Core } from "../../core/core.ts";
import type { CoreMemory } from "../../core/memory.ts";
import type { CoreThread } from "../../core/threads.ts";
import { caution, type Finding } from "../../finding.ts";
import { AT } from "../../linux/auxv.ts";

/** Which process it was, and which of its threads led it. */
export interface Leadership<R extends Registers> {
	readonly pid: number;
	/** Absent where the leader had ended before the others. */
	readonly leader?: CoreThread<R>;
	readonly doubt?: Finding;
}

/**
 * NT_PRPSINFO says which process it was, and the thread of that id leads it. Tools that shrink cores may leave the note out;
 * then the leader is the thread on the main stack, else the one with the lowest tid.
 */
export function leadershipOf<R extends Registers>(core: Core<R>, memory: CoreMemory): Leadership<R> {
	const { process, threads } = core;
	if (process !== undefined && process.pr_pid > 0) {
		const leader = threads.find(({ status }) => status.pr_pid === process.pr_pid);
		return { pid: process.pr_pid, ...defined({ leader }) };
	}
	const first = onInitialStack(core, memory);
	const lowest = threads.reduce((a, b) => (b.status.pr_pid < a.status.pr_pid ? b : a));
	const leader = first ?? lowest;
	const pid = leader.status.pr_pid;
	const why =
		first === undefined ? "the lowest of its threads' ids is taken" : "the id of the thread on its first stack";
	return {
		...{ pid, leader },
		doubt: caution(
			"process-id",
			`process ${pid}`,
			`the core does not say which process it was (no NT_PRPSINFO): ${why}`,
		),
	};
}

function onInitialStack<R extends Registers>(
	{ auxv, threads }: Core<R>,
	{ mappings }: CoreMemory,
): CoreThread<R> | undefined {
	const anchor = auxv.find(({ type }) => type === AT.EXECFN || type === AT.RANDOM)?.value;
	const stack = anchor === undefined ? undefined : rangeAt(mappings, address(anchor));
	if (stack === undefined) return undefined;
	return threads.find(({ status }) => rangeAt(mappings, address(status.pr_reg.sp)) === stack);
}
