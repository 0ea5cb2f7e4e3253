import { basename } from "node:path";
import type { Registers } from "../../arch/architecture.ts";
import { PAGE_SIZE } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { contains } from "../../bytes/range.ts";
import { textFromBytes } from "../../bytes/text.ts";
import { isX8664, type readAnyCore } from "../../core/core.ts";
import { isKernelOwned } from "../../core/files.ts";
import type { InitialStack } from "../../core/stack.ts";
import type { Finding } from "../../finding.ts";
import type { PartialMapping, PartialTask, PartialThread } from "../../forest/partial-task.ts";
import { PROT_WRITE } from "../../linux/mman.ts";
import { signalsIn } from "../../linux/signal.ts";
import { taskFromCore } from "../../understand/from-core/from-core.ts";
import { aarch64View } from "./aarch64.ts";
import { coreFindings, coreLosses } from "./core-findings.ts";
import { x86View } from "./registers.ts";
import { type FileView, filesOf, type MappingView, type ProcessorView, stacksIn, type ThreadView } from "./view.ts";

/** Everything that is shown of a core. */
export interface CoreView {
	/** The file's, without its folder. */
	readonly name: string;
	readonly core: AnyCore;
	readonly dead: PartialTask<Registers>;
	readonly comm: string;
	readonly threads: readonly ThreadView[];
	readonly mappings: readonly MappingView[];
	readonly files: readonly FileView[];
	readonly findings: readonly Finding[];
}

/** A core of whatever processor is shown. */
export type AnyCore = ReturnType<typeof readAnyCore>;

export function viewOfCore(core: AnyCore): CoreView {
	if (isX8664(core)) {
		const dead = taskFromCore(core, [], programOf);
		return viewOf(core, dead, ({ registers, xstate }) => x86View(registers, xstate));
	}
	const notes = new Map(core.threads.map(({ status, foreign = new Map() }) => [status.pr_pid, foreign]));
	return viewOf(core, taskFromCore(core, [], programOf), ({ tid, registers }) =>
		aarch64View(registers, notes.get(tid) ?? new Map()),
	);
}

/** As it was started, where no mapping has its name. */
const programOf = (stack: InitialStack): string =>
	(stack.kind === "unknown" ? undefined : (stack.execfn ?? stack.argv[0])) ?? "unknown";

function viewOf<R extends Registers>(
	core: AnyCore,
	dead: PartialTask<R>,
	processorOf: (thread: PartialThread<R>) => ProcessorView,
): CoreView {
	const mappings = mappingsOfDead(dead);
	const { buildIds, executable } = dead.memory;
	return {
		name: basename(core.source.name),
		core,
		dead,
		// note fields are bytes, one a character; see bytes/layout.ts
		comm: textFromBytes(Buffer.from(core.process?.pr_fname ?? "", "latin1")),
		threads: threadsOfCore(dead, processorOf),
		mappings,
		files: filesOf(mappings, executable, (path) => {
			const buildId = buildIds.get(path);
			return buildId === undefined ? {} : { buildId };
		}),
		findings: isX8664(core) ? coreFindings(dead, mappings) : coreLosses(mappings),
	};
}

const threadsOfCore = <R extends Registers>(
	dead: PartialTask<R>,
	processorOf: (thread: PartialThread<R>) => ProcessorView,
): ThreadView[] => dead.threads.map((thread) => ({ ...processorOf(thread), ...deathOf(dead, thread) }));

const deathOf = (
	dead: PartialTask<Registers>,
	{ tid, blocked, pending, shadowStack }: PartialThread<Registers>,
): Omit<ThreadView, keyof ProcessorView> => ({
	tid,
	leader: tid === dead.pid,
	died: dead.death.signal !== 0 && tid === dead.death.tid,
	pending: signalsIn(pending),
	...defined({ blocked, shadowStack }),
});

/** Every mapping a core tells of. Heap and stacks are told by where they lie and where stack pointers point. */
function mappingsOfDead(dead: PartialTask<Registers>): MappingView[] {
	const { mappings, stack } = dead.memory;
	const heap = heapOf(dead);
	const start = stack.kind === "unknown" ? undefined : stack.startStack;
	const stacks = stacksIn(mappings, dead.threads);
	return mappings.map((mapping): MappingView => {
		const { prot, file, held, kernel } = mapping;
		const base = {
			start: mapping.start,
			end: mapping.end,
			held,
			remarks: [],
			...defined({ prot }),
		};
		if (kernel !== undefined) return { ...base, kind: kernel, label: `[${kernel}]`, rest: "kernel" };
		if (file !== undefined) {
			const { path, deleted } = file;
			const kernels = isKernelOwned(file);
			return {
				...base,
				kind: kernels ? "object" : "file",
				label: path,
				path,
				offset: file.offset,
				deleted,
				// the bytes of a deleted file went with it
				rest: deleted || kernels ? "nowhere" : "file",
			};
		}
		if (start !== undefined && contains(mapping, start))
			return { ...base, kind: "stack", label: "[stack]", rest: "nowhere" };
		if (mapping === heap) return { ...base, kind: "heap", label: "[heap]", rest: "nowhere" };
		const tid = stacks.get(mapping);
		return { ...base, kind: "anonymous", label: tid === undefined ? "anonymous" : `[stack:${tid}]`, rest: "nowhere" };
	});
}

/** The kernel starts the heap at most this far above .bss (arch/x86/kernel/process.c, arch_randomize_brk). */
const BRK_RANDOM = 1n << 30n;

/** The first writable anonymous mapping above the executable and its .bss, if near. A core does not say more. */
function heapOf({ memory: { mappings, executable } }: PartialTask<Registers>): PartialMapping | undefined {
	const last = mappings.findLast(({ file }) => file?.path === executable);
	if (last === undefined) return undefined;
	let bss: bigint = last.end;
	for (const mapping of mappings.slice(mappings.indexOf(last) + 1)) {
		const anonymous = mapping.file === undefined && mapping.kernel === undefined;
		if (!anonymous || mapping.start - last.end > BRK_RANDOM + PAGE_SIZE) return undefined;
		if (mapping.start !== bss) return ((mapping.prot ?? 0) & PROT_WRITE) === 0 ? undefined : mapping;
		bss = mapping.end;
	}
	return undefined;
}
