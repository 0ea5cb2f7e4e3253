import type { Range } from "../../bytes/range.ts";
import { bytesFromText } from "../../bytes/text.ts";
import { contextLayout, REPORT_FD } from "../../program/abi.ts";
import type { Task } from "../../task/task.ts";
import { planClocks } from "../clocks.ts";
import type { Context } from "../context.ts";
import { planDraft } from "../draft.ts";
import { type FilePolicy, highestNumber, planFiles } from "../files/files.ts";
import { closeGhosts, ghostNumbers } from "../files/ghosts.ts";
import { planArming } from "../files/late.ts";
import { chooseHole, reserver } from "../hole.ts";
import type { HostFacts } from "../host-facts.ts";
import { freshIds, type IdPolicy, reportFreshIds, sameIds } from "../ids.ts";
import { addInputs, behindInputs, closeInputs, inputsFrom, type Lent, sourcesOf } from "../inputs.ts";
import { type MemoryOptions, planMemory } from "../memory/memory.ts";
import { planVdso } from "../memory/vdso.ts";
import { actorOf, openerOf } from "../opener.ts";
import type { Plan } from "../plan.ts";
import { planAttributes, planLateAttributes, planMemoryAttributes } from "../process/attributes.ts";
import { planBounds } from "../process/bounds.ts";
import { planCredentials } from "../process/credentials.ts";
import { planDirectories } from "../process/directories.ts";
import { planIdentity } from "../process/identity.ts";
import { planInspection } from "../process/inspection.ts";
import { planTracer, type TracerPolicy } from "../process/tracer.ts";
import { type LeavePolicy, planLeave } from "../threads/leave.ts";
import { planSignals } from "../threads/signals.ts";
import { planThreads } from "../threads/threads.ts";
import { planTimers } from "../threads/timers.ts";

export interface CompileOptions extends FilePolicy, MemoryOptions, TracerPolicy, IdPolicy, LeavePolicy {
	/** Files that the restorer has open for the process, whose user may not open them: by path, their numbers in the agent. */
	readonly lent?: Lent;
}

const MIB = 1n << 20n;

/**
 * Compiles a process into the system calls that make it. Pure: the same task, host facts and options give the same plan.
 *
 * @throws NecromancerError for what cannot be restored: sockets, seccomp filters, registers that would kill it at once.
 */
export function compilePlan(task: Task, facts: HostFacts, options: CompileOptions): Plan {
	const draft = planDraft(bytesFromText);
	const hole = holeFor(task);
	const { pid } = task.identity;
	const { lent = new Map() } = options;
	const sources = sourcesOf(task);
	const workFd = firstWorkFd(task, options, behindInputs(sources, lent));
	const inputs = inputsFrom(sources, lent, workFd + 1);
	const firstSpareFd = workFd + 1 + inputs.count;
	const opener = openerOf(task, facts);
	const context: Context = {
		draft,
		ids: options.freshIds === true ? freshIds(task, draft) : sameIds,
		facts,
		hole,
		ghosts: ghostNumbers(task, options, firstSpareFd),
		reportTarget: draft.bytes(
			"report socket",
			contextLayout.encode({ report_fd: BigInt(REPORT_FD), task: BigInt(pid) }),
		),
		firstWorkFd: workFd,
		...{ inputs, firstSpareFd, opener, actor: actorOf(draft, opener) },
		go: draft.cell("go"),
		...(task.threads[0]?.ended === true ? { leaderEnded: draft.cell("whether the leader is there") } : {}),
		reserve: reserver(task.memory.mappings, hole),
	};
	reportFreshIds(task, context);
	planIdentity(task, context);
	planAttributes(task, context);
	addInputs(draft.list("leader"), sources, lent, workFd + 1);
	planFiles(task, context, options);
	const views = planMemory(task, context, options);
	planVdso(task, context);
	planBounds(task, context);
	planMemoryAttributes(task, context);
	closeGhosts(context);
	const clocks = planClocks(task, context);
	planDirectories(task, context);
	closeInputs(draft.list("leader"), inputs, workFd + 1);
	planInspection(task, context);
	planSignals(task, context);
	planThreads(task, context);
	planTimers(task, context);
	planCredentials(task, context);
	planLateAttributes(task, context);
	planTracer(options, context);
	planArming(task, context, options);
	planLeave(task, context, options);
	return {
		pid,
		tids: task.threads.map(({ tid }) => tid),
		hole,
		views,
		lists: draft.lists,
		data: draft.data,
		context: context.reportTarget,
		reportFd: workFd,
		...(clocks === undefined ? {} : { clocks }),
		...(options.freshIds === true ? { newIds: context.ids.cells } : {}),
		findings: draft.findings,
	};
}

/** Where blob and plan will live while the process is made. The same for the same task. */
export const holeFor = (task: Task): Range => chooseHole(task.memory.mappings, roomFor(task));

/** Generous: steps, structures, path names, a stack and a frame for each thread. The encoder checks. */
const roomFor = ({ threads, memory, files }: Task): bigint =>
	4n * MIB +
	BigInt(threads.length) * (MIB / 8n) +
	BigInt(memory.mappings.length) * 4096n +
	BigInt(contentsOf(memory)) * 512n +
	BigInt(memory.objects.length) * 4096n +
	BigInt(memory.ghosts?.length ?? 0) * 16384n +
	BigInt(files.descriptors.length) * 8192n;

const contentsOf = ({ contents, objects, ghosts = [] }: Task["memory"]): number =>
	[...objects, ...ghosts].reduce((sum, it) => sum + it.contents.length, contents.length);

/** Above every descriptor of the process, on a round number. */
const firstWorkFd = ({ files }: Task, options: CompileOptions, behind: number): number =>
	Math.max(64, 2 ** Math.ceil(Math.log2(Math.max(highestNumber(files, options) + 1, behind))));
