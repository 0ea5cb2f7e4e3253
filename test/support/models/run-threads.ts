import { type Address, address } from "../../../src/bytes/address.ts";
import type { Range } from "../../../src/bytes/range.ts";
import type { Task } from "../../../src/forest/task.ts";
import type { Context } from "../../../src/plan/context.ts";
import type { HostFacts } from "../../../src/plan/host-facts.ts";
import { freshIds, sameIds } from "../../../src/plan/ids.ts";
import { partDraft } from "../../../src/plan/part.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { planCredentials } from "../../../src/plan/process/credentials.ts";
import { planIdentity } from "../../../src/plan/process/identity.ts";
import { planLeave } from "../../../src/plan/threads/leave.ts";
import { planSignals } from "../../../src/plan/threads/signals.ts";
import { planThreads } from "../../../src/plan/threads/threads.ts";
import { planTimers } from "../../../src/plan/threads/timers.ts";
import { assemble } from "../../../src/program/assemble.ts";
import { bytesDatum, cellDatum, dataOf } from "../../../src/program/data.ts";
import { ownFiles } from "../builders/own-files.ts";
import { type FrameContent, readFrame } from "../witness/read-frame.ts";
import { flatMemory, type Model, runModel } from "./model-kernel.ts";
import { allCapable, modelThreads, type ThreadsKernel } from "./model-threads.ts";

// The parts of a plan that make a process of its threads, and what a kernel makes of them.

const HOLE = { start: address(0x2000_0000_0000n), end: address(0x2000_0100_0000n) };

/** Offset and size of components in a frame; the last is the end. */
const places = (...rows: readonly (readonly [number, number, number])[]): HostFacts["xstate"] => ({
	size: Math.max(576, ...rows.map(([, offset, size]) => offset + size)),
	places: new Map(rows.map(([component, offset, size]) => [component, { component, offset, size }])),
	origin: "note",
});

const avx = [2, 576, 256] as const;
export const processors = {
	amd: { xstate: places(avx, [9, 2432, 8]), xcr0: 0x207n },
	old: { xstate: places(avx), xcr0: 7n },
	older: { xstate: places(), xcr0: 3n },
	intel: { xstate: places(avx, [5, 1088, 64], [6, 1152, 512], [7, 1664, 1024], [9, 2688, 8]), xcr0: 0x2e7n },
} as const;

export const factsOf = (processor: keyof typeof processors, more: Partial<HostFacts> = {}): HostFacts => ({
	...processors[processor],
	...{ vdso: { image: new Uint8Array(), vvarLength: 0n }, hugePages: "never", processors: 1, limits: [] },
	...more,
});

/** Those parts of a task's plan, in their order. */
export function planOfThreads(task: Task, facts: HostFacts, fresh = false): Plan {
	const draft = partDraft();
	const { pid } = task.identity;
	const words = Buffer.alloc(16);
	words.writeBigUInt64LE(4n, 0);
	words.writeBigUInt64LE(BigInt(pid), 8);
	const reportTarget = bytesDatum("report socket", words);
	const ids = fresh ? freshIds(task) : sameIds;
	const context: Context = {
		...{ draft, facts, ids, hole: HOLE, reportTarget, firstWorkFd: 64, go: cellDatum("go") },
		...ownFiles(draft, facts, 64),
		reserve: () => 0n as Address,
	};
	planIdentity(task, context);
	planSignals(task, context);
	planThreads(task, context);
	planTimers(task, context);
	planCredentials(task, context);
	planLeave(task, context);
	return {
		...{ pid, tids: task.threads.map(({ tid }) => tid), hole: HOLE, context: reportTarget, reportFd: 64 },
		...{ views: [], lists: draft.made().lists, data: dataOf(draft.made().lists), findings: draft.made().findings },
		...(fresh ? { newIds: ids.cells } : {}),
	};
}

export const anyKernel = (more: Partial<ThreadsKernel> = {}): ThreadsKernel => ({
	...{ credentials: allCapable(), restoreIds: true, nice: 0, hardLimit: (1n << 64n) - 1n },
	...more,
});

/** process_vm_writev(2) of one piece within a process, by the kernel's number. */
const copying: Model = {
	call: (number, [target = 0n, from = 0n, , to = 0n], memory, { pid }) => {
		if (number !== 311) return undefined;
		if (target !== BigInt(pid)) return -3n;
		const [source, target_, length] = [from, to, from + 8n].map((at) =>
			Buffer.from(memory.read(at, 8)).readBigUInt64LE(),
		);
		memory.write(target_ ?? 0n, memory.read(source ?? 0n, Number(length)));
		return length;
	},
};

/** Runs it on a kernel in the small, to the end. @param more memory besides the hole, and another id for the first. */
export function runThreads(
	plan: Plan,
	facts: HostFacts,
	kernel: ThreadsKernel,
	more: { readonly pid?: number; readonly ranges?: readonly Range[] } = {},
) {
	const { model, process } = modelThreads(kernel);
	const encoded = assemble(plan);
	const memory = flatMemory([HOLE, ...(more.ranges ?? [])]);
	const outcome = runModel({
		...{ pieces: encoded.pieces, memory, models: [copying, model], pid: more.pid ?? plan.pid },
		...{ steps: encoded.firstStep("leader"), context: encoded.contextAt },
	});
	const failed = outcome.reports
		.filter(({ id }) => id !== 0n)
		.map(({ id, result }) => ({ result, ...encoded.steps.get(Number(id))?.step }));
	const frames = new Map<number, FrameContent>(
		outcome.left.map(({ tid, frame }) => [tid, readFrame(memory, frame, facts.xstate.size)]),
	);
	return { process, outcome, failed, frames, memory, encoded };
}
