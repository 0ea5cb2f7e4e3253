import { defined } from "../../bytes/defined.ts";
import type { Range } from "../../bytes/range.ts";
import { type Forest, forestOf } from "../../forest/forest.ts";
import type { Task } from "../../forest/task.ts";
import { rootOf } from "../../forest/whole.ts";
import { WAIT_STATUS } from "../../linux/wait.ts";
import { dataOf } from "../../program/data.ts";
import { planClocks } from "../clocks.ts";
import { type Context, contextOf, type Shared } from "../context.ts";
import { planFiles } from "../files/files.ts";
import { makeGhosts } from "../files/ghosts.ts";
import { closeInputs, planInputs } from "../files/inputs.ts";
import { planArming } from "../files/late.ts";
import { planLeases, planLocks } from "../files/locks.ts";
import { leaveWorkshop, makeDescriptions } from "../files/workshop.ts";
import type { HostFacts } from "../host-facts.ts";
import { reportFreshIds } from "../ids.ts";
import { planInheritance } from "../memory/inherited.ts";
import { planMemory } from "../memory/memory.ts";
import { planVdso } from "../memory/vdso.ts";
import { openerOf } from "../opener.ts";
import { inStage, joinParts, type Part, requireOrder } from "../part.ts";
import { listOfProcess, type Plan, type PlannedProcess, type PlannedZombie } from "../plan.ts";
import { planAttributes, planLateAttributes, planMemoryAttributes } from "../process/attributes.ts";
import { planBounds } from "../process/bounds.ts";
import { planCredentials } from "../process/credentials.ts";
import { planDirectories } from "../process/directories.ts";
import { planEnd } from "../process/ended.ts";
import { planFamily, planReturn, planWords } from "../process/family.ts";
import { planBirth, planDying, planIdentity } from "../process/identity.ts";
import { planInspection } from "../process/inspection.ts";
import { planIpc } from "../process/ipc.ts";
import type { Kin } from "../process/kinship.ts";
import { lostForegrounds, planControl } from "../process/terminals.ts";
import { planTracer } from "../process/tracer.ts";
import { planLeave } from "../threads/leave.ts";
import { planSignals } from "../threads/signals.ts";
import { planThreads } from "../threads/threads.ts";
import { planTimers } from "../threads/timers.ts";
import { type Bench, benchFor } from "./bench.ts";
import type { CompileOptions } from "./options.ts";
import { mapCommon, planShelf, sayMapped, settleCommon } from "./shelf.ts";

export { holeFor } from "./bench.ts";
export type { CompileOptions } from "./options.ts";

/** What parts are told besides the process and the context. */
interface Given {
	readonly options: CompileOptions;
	/** The parts before, of this process and of those that it comes from. */
	readonly before: readonly Part[];
}

type PlanPart = (task: Task, context: Context, given: Given) => Part;

type NamedPart = readonly [name: string, plan: PlanPart];

/*
 * The parts of a plan, in the order in which they come. Each returns what it adds, and sees no draft but its own.
 */

/** What the agent does, for all processes. */
const workshop: readonly NamedPart[] = [
	["files without a name", (task, context, { options }) => makeGhosts(task, context, options)],
	["descriptions", (task, context, { options }) => makeDescriptions(task, context, options)],
	["end of the workshop", (_, context) => leaveWorkshop(context)],
];

/** What a process is before it has anything, where it is alone. */
const alone = ({ making }: Bench): readonly NamedPart[] => [
	["fresh ids", reportFreshIds],
	["identity", planIdentity],
	["attributes", planAttributes],
	["inputs", planInputs],
	["System V IPC", planIpc],
	["terminal", (task, context) => planControl(task, context, making.controls)],
];

const body: readonly NamedPart[] = [
	["files", (task, context, { options }) => planFiles(task, context, options)],
	["memory", (task, context, { options }) => planMemory(task, context, options)],
	["vdso", planVdso],
	["bounds", planBounds],
	["memory attributes", planMemoryAttributes],
	["clocks", planClocks],
	["leases", (task, context, { options }) => planLeases(task, context, options)],
	["directories", planDirectories],
	["end of inputs", (_, context) => closeInputs(context)],
	["locks", (task, context, { options }) => planLocks(task, context, options)],
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
export const compilePlan = (task: Task, facts: HostFacts, options: CompileOptions): Plan =>
	compileForest(forestOf([task]), facts, options);

/**
 * The same for processes that share things. The workshop and the first process make what several have; each process is made by its
 * parent, and has the same hole.
 *
 * @param options `fds`, `byCaller` and `freshIds` are for one process alone.
 * @throws NecromancerError as compilePlan and `kinshipOf` do, and ERR_UNSUPPORTED for what several processes have and this version
 *   restores in one only.
 */
export function compileForest(forest: Forest, facts: HostFacts, options: CompileOptions): Plan {
	const bench = benchFor(forest, facts, options);
	const { whole, others, several, sharedOf } = bench;
	const root = rootOf(forest);
	const shared = sharedOf(root);
	const { hole, firstWorkFd, reportTarget, ids } = shared;
	const forAll = partsOf(
		workshop,
		whole,
		{ ...shared, inputs: shared.inputs.ofUser(undefined), opener: openerOf(whole, facts) },
		{ options, before: [] },
	);
	const named = several ? firstOfSeveral(bench) : [...alone(bench), ...body];
	const first = partsOf(named, root, shared, { options, before: forAll });
	const before = [...forAll, ...first];
	const more = others.map((task) => {
		const list = listOfProcess(task.identity.pid);
		return { task, parts: partsOf(oneOfSeveral(bench, task), task, sharedOf(task), { options, before }, list) };
	});
	const ended = bench.ended.flatMap((kin) => partsOfEnded(bench, kin, shared));
	const made = [...before, ...more.flatMap(({ parts }) => parts), ...ended];
	const { lists, findings } = joinParts(made);
	const zombies = bench.ended.flatMap(zombieIn);
	return {
		pid: root.identity.pid,
		tids: tidsOf(root),
		hole,
		views: viewsOf(first),
		...(more.length === 0 ? {} : { others: more.map(({ task, parts }) => plannedOf(bench, task, parts)) }),
		...(zombies.length === 0 ? {} : { zombies }),
		lists,
		data: dataOf(lists, [reportTarget]),
		context: reportTarget,
		reportFd: firstWorkFd,
		...(options.terminal === undefined ? {} : { joinsCaller: true }),
		...defined({ clocks: made.find((part) => part.clocks !== undefined)?.clocks }),
		...(options.freshIds === true ? { newIds: ids.cells } : {}),
		findings: [...findings, ...lostForegrounds(forest)],
	};
}

/** @param list of the process's first thread. */
function partsOf(
	named: readonly NamedPart[],
	task: Task,
	shared: Shared,
	{ options, before }: Given,
	list?: string,
): readonly Part[] {
	const made: Part[] = [];
	for (const [name, plan] of named) {
		const part = plan(task, contextOf(shared, list), { options, before: [...before, ...made] });
		requireOrder(name, made, part);
		made.push(part);
	}
	return made;
}

const viewsOf = (parts: readonly Part[]): readonly Range[] => parts.flatMap(({ views = [] }) => views);

const tidsOf = ({ threads }: Task): readonly number[] => threads.map(({ tid }) => tid);

function plannedOf({ kinOf }: Bench, task: Task, parts: readonly Part[]): PlannedProcess {
	const { sid, pgid } = kinOf(task);
	const { pid, ppid } = task.identity;
	return { ...{ pid, ppid, sid, pgid }, ...{ tids: tidsOf(task), views: viewsOf(parts) } };
}

const zombieIn = ({ pid, ppid, sid, pgid, fate }: Kin): PlannedZombie[] =>
	fate.kind === "zombie" ? [{ pid, ppid, sid, pgid, status: fate.status & WAIT_STATUS }] : [];

/** Of who does not live: a place among others, and an end. */
function partsOfEnded({ making }: Bench, kin: Kin, shared: Shared): readonly Part[] {
	const context = () => contextOf(shared, listOfProcess(kin.pid));
	return [
		planDying(context()),
		planFamily(kin, false, context(), making),
		planEnd(kin, context(), making.words.joined),
	];
}

/** The first process makes what several have, before it has children: it is all that they begin with. */
const firstOfSeveral = (bench: Bench): readonly NamedPart[] => [
	["identity", planIdentity],
	["inputs", planInputs],
	["System V IPC", planIpc],
	// whoever is born in a time namespace has its clocks
	["clocks", (task, context) => inStage("shared", planClocks(task, context))],
	["words", (_, context) => planWords(bench.making.words, context)],
	["memory of several", (_, context) => mapCommon(context, bench)],
	["what several have open", (task, context, { options }) => planShelf(task, context, options, bench)],
	...amongOthers(bench, true),
];

const oneOfSeveral = (bench: Bench, task: Task): readonly NamedPart[] => [
	["birth", (task, context) => planBirth(task, context, bench.kinOf(task))],
	...(bench.kinOf(task).borrows ? withMakersTable(bench) : amongOthers(bench, false)),
];

/** Files are opened, locked, armed and closed by whoever made it. */
const withMakersTable = (bench: Bench): readonly NamedPart[] =>
	amongOthers(bench, false).flatMap((part): readonly NamedPart[] => {
		const [name] = part;
		if (ofTheTable.includes(name)) return [];
		if (name !== "end of inputs") return [part];
		return [["return of the table", (task, context) => planReturn(bench.kinOf(task), context, bench.making)]];
	});

const ofTheTable: readonly string[] = ["files", "leases", "locks", "arming"];

const amongOthers = (bench: Bench, isFirst: boolean): readonly NamedPart[] => [
	[
		"memory for those that come from it",
		(task, context) => planInheritance(task.memory, context, [...bench.places.values()]),
	],
	["family", (task, context) => planFamily(bench.kinOf(task), isFirst, context, bench.making)],
	// children inherit some of them
	["attributes", (task, context) => inStage("files", planAttributes(task, context))],
	...body.flatMap((part): readonly NamedPart[] => {
		const [name] = part;
		if (name === "clocks") return [];
		if (name === "memory") return [part, ["word of memory", (task, context) => sayMapped(task, context, bench)]];
		if (name === "end of inputs" && isFirst)
			return [["memfds of several", (_, context) => settleCommon(context, bench)], part];
		return [part];
	}),
];
