import { defined } from "../../bytes/defined.ts";
import type { Range } from "../../bytes/range.ts";
import type { ByteSource } from "../../bytes/source.ts";
import type { Task } from "../../forest/task.ts";
import { CAP } from "../../linux/credentials.ts";
import { limitNumber, NO_LIMIT } from "../../linux/resource.ts";
import { contextLayout, REPORT_FD } from "../../program/abi.ts";
import { bytesDatum, cellDatum, dataOf } from "../../program/data.ts";
import { planClocks } from "../clocks.ts";
import { type Context, contextOf, type Shared } from "../context.ts";
import { type FilePolicy, highestNumber, planFiles } from "../files/files.ts";
import { makeGhosts } from "../files/ghosts.ts";
import { closeInputs, planInputs } from "../files/inputs.ts";
import { planArming } from "../files/late.ts";
import { neededFiles } from "../files/needed-files.ts";
import { placesOfInputs } from "../files/place-inputs.ts";
import { leaveWorkshop, madeInWorkshop, makeDescriptions } from "../files/workshop.ts";
import { chooseHole, reserver } from "../hole.ts";
import type { HostFacts } from "../host-facts.ts";
import { hasCapability } from "../host-rights.ts";
import { freshIds, type IdPolicy, reportFreshIds, sameIds } from "../ids.ts";
import { asIfOpened, inputsFrom, type OpenedInput, roomInAgent, sourcesOf } from "../inputs.ts";
import { type MemoryOptions, planMemory } from "../memory/memory.ts";
import { planVdso } from "../memory/vdso.ts";
import { openerOf } from "../opener.ts";
import { joinParts, type Part, requireOrder } from "../part.ts";
import type { Plan } from "../plan.ts";
import { planAttributes, planLateAttributes, planMemoryAttributes } from "../process/attributes.ts";
import { planBounds } from "../process/bounds.ts";
import { planCredentials } from "../process/credentials.ts";
import { planDirectories } from "../process/directories.ts";
import { planIdentity, WORK_FDS } from "../process/identity.ts";
import { planInspection } from "../process/inspection.ts";
import { planTracer, type TracerPolicy } from "../process/tracer.ts";
import { type LeavePolicy, planLeave } from "../threads/leave.ts";
import { planSignals } from "../threads/signals.ts";
import { planThreads } from "../threads/threads.ts";
import { planTimers } from "../threads/timers.ts";
import { countsOf, roomFor } from "./room.ts";

export interface CompileOptions extends FilePolicy, MemoryOptions, TracerPolicy, IdPolicy, LeavePolicy {
	/** The files of {@link neededFiles}, as the agent has them open. Absent: as one would that opens one after the other. */
	readonly opened?: readonly OpenedInput[];
	/** What the agent was given at its start, from FIRST_INPUT_FD on; what the process's bytes come from when absent. */
	readonly given?: readonly ByteSource[];
	/** Where the agent lives: free in the process's layout. Chosen for it when absent. */
	readonly hole?: Range;
}

/** What parts are told besides the process and the context. */
interface Given {
	readonly options: CompileOptions;
	/** The parts before. */
	readonly before: readonly Part[];
}

type PlanPart = (task: Task, context: Context, given: Given) => Part;

/** The parts of a plan, in the order in which they come. Each returns what it adds, and sees no draft but its own. */
const parts: readonly (readonly [name: string, plan: PlanPart])[] = [
	["files without a name", (task, context, { options }) => makeGhosts(task, context, options)],
	["descriptions", (task, context, { options }) => makeDescriptions(task, context, options)],
	["end of the workshop", (_, context) => leaveWorkshop(context)],
	["fresh ids", reportFreshIds],
	["identity", planIdentity],
	["attributes", planAttributes],
	["inputs", planInputs],
	["files", (task, context, { options }) => planFiles(task, context, options)],
	["memory", (task, context, { options }) => planMemory(task, context, options)],
	["vdso", planVdso],
	["bounds", planBounds],
	["memory attributes", planMemoryAttributes],
	["clocks", planClocks],
	["directories", planDirectories],
	["end of inputs", (_, context) => closeInputs(context)],
	["inspection", (task, context, { before }) => planInspection(task, context, before)],
	["signals", planSignals],
	["threads", planThreads],
	["timers", planTimers],
	["credentials", planCredentials],
	["late attributes", planLateAttributes],
	["tracer", (_, context, { options }) => planTracer(options, context)],
	["arming", (task, context, { options }) => planArming(task, context, options)],
	["leave", (task, context, { options }) => planLeave(task, context, options)],
];

/**
 * Compiles a process into the system calls that make it. Pure: the same task, host facts and options give the same plan.
 *
 * @throws NecromancerError for what cannot be restored: sockets, seccomp filters, registers that would kill it at once.
 */
export function compilePlan(task: Task, facts: HostFacts, options: CompileOptions): Plan {
	const shared = sharedBy(task, facts, options);
	const { hole, firstWorkFd, reportTarget, ids } = shared;
	const made: Part[] = [];
	for (const [name, plan] of parts) {
		const part = plan(task, contextOf(shared), { options, before: made });
		requireOrder(name, made, part);
		made.push(part);
	}
	const { lists, findings } = joinParts(made);
	const clocks = made.find((part) => part.clocks !== undefined)?.clocks;
	return {
		pid: task.identity.pid,
		tids: task.threads.map(({ tid }) => tid),
		hole,
		views: made.flatMap(({ views = [] }) => views),
		lists,
		data: dataOf(lists, [reportTarget]),
		context: reportTarget,
		reportFd: firstWorkFd,
		...defined({ clocks }),
		...(options.freshIds === true ? { newIds: ids.cells } : {}),
		findings,
	};
}

function sharedBy(task: Task, facts: HostFacts, options: CompileOptions): Shared {
	const { hole = holeFor(task) } = options;
	const sources = sourcesOf(task);
	const { given = sources } = options;
	const opened = options.opened ?? asIfOpened(neededFiles(task, options), given);
	const made = madeInWorkshop(task, options);
	const least = Math.max(highestNumber(task.files, options) + 1 + IN_PASSING, roomInAgent({ given, opened, made }));
	const round = Math.max(64, 2 ** Math.ceil(Math.log2(least)));
	const crowded = round + sources.length + opened.length + made.length + Number(WORK_FDS) > mostNumbers(facts);
	const placed = crowded ? placesOfInputs(task, options, opened) : new Map<string, number>();
	const firstWorkFd = crowded ? least : round;
	const inputs = inputsFrom({ sources, given, opened, made, placed }, firstWorkFd + 1);
	const firstSpareFd = firstWorkFd + 1 + inputs.all.length;
	const target = contextLayout.encode({ report_fd: BigInt(REPORT_FD), task: BigInt(task.identity.pid) });
	return {
		ids: options.freshIds === true ? freshIds(task) : sameIds,
		facts,
		hole,
		reportTarget: bytesDatum("report socket", target),
		...{ firstWorkFd, inputs, firstSpareFd, opener: openerOf(task, facts) },
		go: cellDatum("go"),
		...(task.threads[0]?.ended === true ? { leaderEnded: cellDatum("whether the leader is there") } : {}),
		reserve: reserver(task.memory.mappings, hole),
	};
}

/** Where blob and plan will live while the process is made. The same for the same task. */
export const holeFor = (task: Task): Range => chooseHole(task.memory.mappings, roomFor(countsOf(task)));

/** The most that land above the highest number on their way to their own. */
const IN_PASSING = 3;

/** How many descriptors a process of ours can have. */
const mostNumbers = (facts: HostFacts): number =>
	hasCapability(facts, CAP.SYS_RESOURCE, "system")
		? Number.POSITIVE_INFINITY
		: Number(facts.limits[limitNumber("NOFILE")]?.hard ?? NO_LIMIT);
