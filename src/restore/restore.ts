import type { Agent } from "../agent/agent.ts";
import { registerKills } from "../agent/spawn.ts";
import { startAgent } from "../agent/start-agent.ts";
import { waitForExit, waitForStop } from "../agent/wait.ts";
import { defined } from "../bytes/defined.ts";
import { once } from "../bytes/once.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Finding } from "../finding.ts";
import type { Forest } from "../forest/forest.ts";
import { rootOf, wholeOf } from "../forest/whole.ts";
import { measureHost } from "../host/facts.ts";
import { type Init, reapInit, startInit } from "../host/namespace.ts";
import { type OpenFiles, openFiles } from "../inputs/open-files.ts";
import { SIGKILL, SIGWINCH } from "../linux/signal.ts";
import type { Clocks } from "../linux/time.ts";
import type { WaitStatus } from "../linux/wait.ts";
import { type CompileOptions, compileForest, holeFor } from "../plan/compile/compile.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import { type OpenedInput, sourcesOf } from "../plan/inputs.ts";
import { personasOf } from "../plan/personas.ts";
import { type AssembledPlan, type Plan, WORKSHOP, WORKSHOP_END } from "../plan/plan.ts";
import { kinshipOf } from "../plan/process/kinship.ts";
import { timensOffsetsText } from "../proc/namespaces.ts";
import { assemble } from "../program/assemble.ts";
import { type BoundPlace, boundPlaces } from "./bound-sockets.ts";
import { adoptOrphans, alsoUnbound, killAll, makeCarrier, refuseStep, runWorkshop, untilReady } from "./carrier.ts";
import { enterNamespaces, offsetsFor, requireClocks } from "./clocks.ts";
import { earlyDeath } from "./early-death.ts";
import type { IdChoice } from "./ids.ts";
import { enterIpcNamespace, verifyIpc } from "./ipc.ts";
import { type Job, openJob } from "./job.ts";
import { requireUnlocked } from "./locks.ts";
import { membersOf, registerMembers } from "./members.ts";
import { openInputs } from "./open-inputs.ts";
import { release, releaseTraced, verifyWaiting } from "./release.ts";
import { requireFreeIds, requireNoFirst, requireNoHeirs, requireRoomForMappings } from "./requirements.ts";
import { livingThreadOf, verifyOomScore } from "./verify.ts";

export interface RestoreOptions extends Omit<CompileOptions, "freshIds" | "stopsItself" | "opened" | "given" | "hole"> {
	/** Give it the {@link CompileOptions.terminal}, as a shell does with a job in the foreground. */
	readonly foreground?: boolean;
	/** Leave all of it stopped, as by SIGSTOP; otherwise what was. */
	readonly stopped: boolean;
	/** Which ids it gets; the same when absent. */
	readonly ids?: IdChoice;
	/** Do without ptrace: nothing is checked at the last moment, and the blob's pages stay behind. */
	readonly untraced?: boolean;
	/** Asked before it is let go: throws where what it was made of has changed meanwhile, and then nothing of it is left. */
	readonly requireUnchanged?: () => void;
	/** Give it files that its user may not open: core and images are trusted (--trust). */
	readonly trust?: boolean;
	/** The number of a step that is made to fail, for tests. */
	readonly failStep?: number;
}

/** A restored process, a child of the agent until released. Of several, the one that the others come from. */
export interface Restored {
	/** Its id here; in a pid namespace of its own it knows itself by another. */
	readonly pid: number;
	/** Of all, parents first. */
	readonly pids: readonly number[];
	/** The tid to attach a debugger to and to read /proc by: another thread's where the leader had ended. */
	readonly livingThread: number;
	readonly ids: IdChoice;
	readonly findings: readonly Finding[];
	/** Memory of ours that had to stay in it. */
	readonly leftover?: Range;
	/** It has the terminal of whoever called us. */
	readonly job?: Job;
	/** Waits until it stops, or ends: `undefined` then, and {@link wait} says how. */
	stop(): Promise<number | undefined>;
	/** How it ends. */
	wait(): Promise<WaitStatus>;
	/** Its end if it dies right after its release: watches until it sleeps, or has run for a while. */
	earlyEnd(): Promise<WaitStatus | undefined>;
	/** Kills it, unless it has ended; to be waited for afterwards. Not once it has been waited for. */
	kill(): Promise<void>;
	/** Gives up the agent's hold: the process runs on without us. */
	release(): Promise<void>;
}

/** An agent that is there to make a process. */
export interface Ready {
	readonly agent: Agent;
	/** What it was given at its start, from FIRST_INPUT_FD on: all that the process's bytes come from. */
	readonly given: readonly ByteSource[];
	/** What it has opened for the process. */
	readonly files?: OpenFiles;
}

/**
 * Makes the processes of a forest, most often one (`forestOf([task])`). On any failure nothing of them is left.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH, ERR_PID_TAKEN, ERR_UNSUPPORTED, ERR_HOST before anything is made;
 *   ERR_STEP_FAILED, ERR_RESTORE_FAILED after.
 */
export async function restore(forest: Forest, options: RestoreOptions): Promise<Restored> {
	return restoreWith(await readyFor(forest, options), forest, options);
}

/** The same with an agent that is there already, in a hole of the processes' layouts. It is closed on any failure. */
export async function restoreWith(ready: Ready, forest: Forest, options: RestoreOptions): Promise<Restored> {
	const { ids = "same", stopped, untraced = false, failStep, requireUnchanged = () => {} } = options;
	const { agent } = ready;
	const root = rootOf(forest);
	const count = forest.processes.length;
	const alive: number[] = [];
	let bound: readonly BoundPlace[] = [];
	let init: Init | undefined;
	let encoded: AssembledPlan | undefined;
	try {
		const planned = await planWith(ready, forest, options);
		const { plan, facts, policy } = planned;
		bound = planned.bound;
		encoded = assemble(plan, failStep === undefined ? {} : { failStep });
		const [carrierPid, initPid] = await registerKills(agent, 2, alsoUnbound(bound));
		if (ids === "namespace") {
			init = await startInit(agent, root.identity.pid, initPid);
			alive.push(init.pid);
		}
		await agent.run({ load: encoded.pieces, doing: "taking in the plan" });
		await runWorkshop(agent, plan, encoded, WORKSHOP);
		const several = count > 1 || forest.zombies.length > 0;
		if (several) await adoptOrphans(agent, true);
		const pid = await makeCarrier(agent, encoded, root, ids, carrierPid);
		alive.push(pid);
		await runWorkshop(agent, plan, encoded, WORKSHOP_END);
		await init?.watch();
		let offsets: Clocks | undefined;
		const clocks = async (): Promise<string> => {
			offsets = await offsetsFor(agent, plan);
			return timensOffsetsText(offsets);
		};
		const making = { pid, count, encoded, clocks };
		await untilReady(agent, making);
		const { members, here } = membersOf(pid, forest, plan, ids);
		if (several) await registerMembers(agent, [...members, ...(init === undefined ? [] : [init])], alsoUnbound(bound));
		// a traced child would wait for us, and we for it, when its parent has ended
		alive.push(...members.flatMap((member) => (member.isRoot ? [] : [member.pid])));
		const complete = { members, here, forest, facts, plan, encoded, policy, stopped, ids, requireUnchanged };
		// while they still have our credentials: without CAP_SYS_PTRACE we cannot read their /proc files later
		for (const member of members) requireClocks(agent, member.pid, offsets);
		await verifyIpc(agent, forest);
		const unlocked = await verifyWaiting(agent, complete);
		await untilReady(agent, making);
		if (several) await adoptOrphans(agent, false);
		const job =
			options.foreground === true && options.terminal !== undefined
				? await openJob(agent, forest, options.terminal, pid)
				: undefined;
		const resized = await job?.give();
		const leftover = untraced ? await release(agent, complete) : await releaseTraced(agent, complete);
		const findings = [...plan.findings, ...unlocked, ...members.flatMap(({ pid, task }) => verifyOomScore(pid, task))];
		const pids = members.map((member) => member.pid);
		if (resized === true) await agent.call("kill", -pid, SIGWINCH);
		return living(
			agent,
			{ ...defined({ job }), pid, pids, livingThread: livingThreadOf(pid, root), ids, findings },
			leftover,
			init,
		);
	} catch (error) {
		const report = await killAll(agent, alive, bound);
		// it died because a step failed: report that instead
		if (encoded !== undefined && report !== undefined && report.id !== 0n) await refuseStep(encoded, report);
		throw error;
	}
}

/**
 * The plan that {@link restoreWith} would execute. Makes nothing, and refuses what that refuses before it makes anything. The agent
 * is closed.
 *
 * @throws NecromancerError as `restore` does.
 */
export async function rehearseWith(ready: Ready, forest: Forest, options: RestoreOptions): Promise<Plan> {
	try {
		const { plan } = await planWith(ready, forest, options);
		assemble(plan);
		return plan;
	} finally {
		await ready.agent.close();
	}
}

/** Starts an agent in a hole of the processes' layouts, with all that their bytes come from. */
async function readyFor(forest: Forest, options: RestoreOptions): Promise<Ready> {
	requireRoom(forest, options);
	const given = sourcesOf(wholeOf(forest));
	const session = options.terminal === undefined ? "own" : "callers";
	return { agent: await startAgent(holeFor(forest), { inputs: given.map(descriptorOf), session }), given };
}

interface Planned {
	readonly plan: Plan;
	readonly facts: HostFacts;
	readonly policy: CompileOptions;
	readonly bound: readonly BoundPlace[];
}

/** The files that they are to get, open; what is done about the others; and all that will be done. */
async function planWith(
	{ agent, given, files: known }: Ready,
	forest: Forest,
	options: RestoreOptions,
): Promise<Planned> {
	const { ids = "same", untraced = false, trust = false } = options;
	requireRoom(forest, options);
	const facts = await factsFor(agent, forest, options);
	const stores: OpenFiles[] = [];
	try {
		let policy: CompileOptions = { ...options, freshIds: ids === "fresh", stopsItself: untraced };
		const opened: OpenedInput[] = [];
		const bound: BoundPlace[] = [];
		// what one has opened is not another's
		for (const { opener, tasks, whose } of personasOf(forest, facts)) {
			const files = (stores.length === 0 ? known?.as(opener) : undefined) ?? openFiles(agent, opener, trust);
			const terminals = opened.flatMap(({ use, path }) => (use === "terminal" ? [path] : []));
			stores.push(files);
			const own = await openInputs(files, tasks, policy, trust, new Set(terminals));
			for (const task of tasks) requireUnlocked(agent.pid, task, own.policy, own.opened);
			policy = own.policy;
			bound.push(...boundPlaces(tasks, own.opened, opener));
			opened.push(...own.opened.map((input) => (input.by === "user" ? { ...input, ...defined({ whose }) } : input)));
		}
		const plan = compileForest(forest, facts, { ...policy, opened, given, hole: holeOf(agent) });
		for (const [i, task] of forest.processes.entries())
			requireRoomForMappings(task, i === 0 ? plan.views : plan.others?.[i - 1]?.views);
		return { plan, facts, policy, bound };
	} finally {
		for (const files of stores) files.closeContents();
	}
}

/** Checks of the host that need no agent. */
function requireRoom(forest: Forest, { ids = "same" }: RestoreOptions): void {
	const { processes } = forest;
	for (const task of processes) requireRoomForMappings(task);
	const tids = processes.flatMap(({ threads }) => threads.map(({ tid }) => tid));
	// with those of leaders that are gone
	const pids = kinshipOf(forest).all.map(({ pid }) => pid);
	const wanted = [...new Set([...tids, ...pids])];
	if (ids === "same") {
		requireFreeIds(wanted);
		requireNoHeirs(pids);
	}
	if (ids === "namespace") requireNoFirst(wanted);
}

const holeOf = ({ layout: { blob, free } }: Agent): Range => ({ start: blob, end: free.end });

/** The descriptor of a file that is open. */
export const descriptorOf = ({ name, fd }: ByteSource): number => {
	if (fd === undefined) throw new RangeError(`${name} is no open file`);
	return fd;
};

/** Facts of the namespaces that the process is made in, once the agent has entered them. */
async function factsFor(agent: Agent, forest: Forest, { ids = "same" }: RestoreOptions): Promise<HostFacts> {
	const made = await enterNamespaces(agent, forest, ids);
	await enterIpcNamespace(agent, forest);
	return { ...(await measureHost(agent)), ...made };
}

function living(
	agent: Agent,
	known: Pick<Restored, "pid" | "pids" | "livingThread" | "ids" | "findings" | "job">,
	leftover: Range | undefined,
	init: Init | undefined,
): Restored {
	// once it has been waited for, its id is anybody's
	let early: WaitStatus | undefined;
	return {
		...known,
		...(leftover === undefined || lengthOf(leftover) === 0n ? {} : { leftover }),
		stop: async () => {
			const change = early ?? (await waitForStop(agent, known.pid));
			if (change.kind === "signal") return change.signal;
			early = change;
			return undefined;
		},
		wait: once(async () => {
			const end = early ?? (await waitForExit(agent, known.pid));
			if (init !== undefined) await reapInit(agent, init);
			await agent.close();
			return end;
		}),
		earlyEnd: async () => {
			early ??= await earlyDeath(agent, known.pid);
			return early;
		},
		kill: async () => {
			if (early === undefined) await agent.call("kill", known.pid, SIGKILL);
		},
		release: agent.close,
	};
}
