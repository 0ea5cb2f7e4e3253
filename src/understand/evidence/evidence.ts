import type { Address } from "../../bytes/address.ts";
import { once } from "../../bytes/once.ts";
import type { Range } from "../../bytes/range.ts";
import type { PartialTask, PartialThread } from "../../forest/partial-task.ts";
import type { AlternateStack, SignalAction } from "../../forest/task.ts";
import { type BlockingCall, blockingCalls } from "./blocking-calls.ts";
import { goSignalStacks } from "./go-stacks.ts";
import { type KernelRecords, kernelRecords } from "./kernel-records.ts";
import { libcHandlers } from "./libc-handlers.ts";
import { type UvLoop, uvLoops } from "./libuv.ts";
import { noAccess } from "./no-access.ts";
import { type Program, programOf, withLinkedProtections } from "./program-headers.ts";
import { type OpenObject, programBreak } from "./program-objects.ts";
import { type FrameOf, signalFrames } from "./signal-frame.ts";
import { type StackRecord, stackRecords } from "./stack-guards.ts";

/** What a core and the files that it had mapped prove of a process. Looked for when it is asked for. */
export interface Evidence {
	readonly open: OpenObject;
	/** The same process, where gdb's cores lack the protection of a mapping with that of its file's segment. */
	readonly linked: PartialTask;
	/** The executable's segments, where they lay. */
	readonly program: Program | undefined;
	/** libc's own variable. */
	readonly programBreak: Address | undefined;
	readonly records: KernelRecords;
	/** The stacks of its threads, as glibc's records of them are. */
	readonly stacks: readonly StackRecord[];
	/** Where anonymous memory begins that nothing may access, as glibc has it. */
	readonly noAccess: ReadonlySet<bigint>;
	readonly frameOf: FrameOf;
	/** The system calls that threads were in. */
	readonly calls: readonly BlockingCall[];
	/** The event loops of libuv in some places. Whoever asks again of the same gets what the first got. */
	loopsIn(places: readonly Range[]): readonly UvLoop[];
	/** The signal stacks of Go's threads, by thread id. */
	readonly goStacks: ReadonlyMap<number, AlternateStack>;
	/** The handlers of libc's own signals, where it has them. */
	readonly handlers: readonly SignalAction[];
}

/** @param open This host's files as those of the process: for symbols, program headers and code that a core leaves out. */
export function evidenceIn(dead: PartialTask, open: OpenObject): Evidence {
	const linked = withLinkedProtections(dead, open);
	const { memory, threads } = linked;
	const program = once(() => programOf(memory, open));
	const at = once(() => programBreak(memory, open));
	const records = once(() => kernelRecords(linked, open));
	const stacks = once(() => stackRecords(linked));
	const closed = once(() => noAccess(linked, stacks()));
	const frames = once(() => signalFrames(threads, memory));
	const frameOf = remembered((thread: PartialThread) => frames()(thread));
	const calls = once(() => blockingCalls(linked, frameOf, open));
	const goStacks = once(() => goSignalStacks(linked));
	const handlers = once(() => libcHandlers(memory, open));
	let searched: { readonly places: readonly Range[]; readonly loops: readonly UvLoop[] } | undefined;
	return {
		open,
		linked,
		loopsIn: (places) => {
			if (searched?.places !== places) searched = { places, loops: uvLoops(memory, places) };
			return searched.loops;
		},
		get program() {
			return program();
		},
		get programBreak() {
			return at();
		},
		get records() {
			return records();
		},
		get stacks() {
			return stacks();
		},
		get noAccess() {
			return closed();
		},
		frameOf,
		get calls() {
			return calls();
		},
		get goStacks() {
			return goStacks();
		},
		get handlers() {
			return handlers();
		},
	};
}

/** Asks once of each; stacks are long. */
function remembered<K extends object, V>(ask: (key: K) => V): (key: K) => V {
	const known = new Map<K, { readonly answer: V }>();
	return (key) => {
		const answered = known.get(key) ?? { answer: ask(key) };
		known.set(key, answered);
		return answered.answer;
	};
}
