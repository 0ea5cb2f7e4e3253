import type { Agent } from "../agent/agent.ts";
import { registerKills } from "../agent/spawn.ts";
import { startAgent } from "../agent/start-agent.ts";
import { waitForExit } from "../agent/wait.ts";
import { once } from "../bytes/once.ts";
import { lengthOf, type Range } from "../bytes/range.ts";
import type { ByteSource } from "../bytes/source.ts";
import type { Finding } from "../finding.ts";
import type { Task } from "../forest/task.ts";
import { measureHost } from "../host/facts.ts";
import { type Init, reapInit, startInit } from "../host/namespace.ts";
import { type OpenFiles, openFiles } from "../inputs/open-files.ts";
import { SIGKILL } from "../linux/signal.ts";
import type { Clocks } from "../linux/time.ts";
import type { WaitStatus } from "../linux/wait.ts";
import { type CompileOptions, compilePlan, holeFor } from "../plan/compile/compile.ts";
import type { HostFacts } from "../plan/host-facts.ts";
import { sourcesOf } from "../plan/inputs.ts";
import { openerOf } from "../plan/opener.ts";
import { type AssembledPlan, type Plan, WORKSHOP, WORKSHOP_END } from "../plan/plan.ts";
import { timensOffsetsText } from "../proc/namespaces.ts";
import { assemble } from "../program/assemble.ts";
import { killAll, makeCarrier, refuseStep, runWorkshop, untilReady } from "./carrier.ts";
import { enterNamespaces, offsetsFor, requireClocks } from "./clocks.ts";
import { earlyDeath } from "./early-death.ts";
import type { IdChoice } from "./ids.ts";
import { openInputs } from "./open-inputs.ts";
import { release, releaseTraced, verifyWaiting } from "./release.ts";
import { requireFreeIds, requireNoFirst, requireRoomForMappings } from "./requirements.ts";
import { livingThreadOf, verifyOomScore } from "./verify.ts";

export interface RestoreOptions extends Omit<CompileOptions, "freshIds" | "stopsItself" | "opened" | "given" | "hole"> {
	/** Leave it stopped, as by SIGSTOP. */
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

/** A restored process, a child of the agent until released. */
export interface Restored {
	/** Its id here; in a pid namespace of its own it knows itself by another. */
	readonly pid: number;
	/** The tid to attach a debugger to and to read /proc by: another thread's where the leader had ended. */
	readonly livingThread: number;
	readonly ids: IdChoice;
	readonly findings: readonly Finding[];
	/** Memory of ours that had to stay in it. */
	readonly leftover?: Range;
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
 * Makes the process that a task describes. On any failure nothing of it is left.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH, ERR_PID_TAKEN, ERR_UNSUPPORTED, ERR_HOST before anything is made;
 *   ERR_STEP_FAILED, ERR_RESTORE_FAILED after.
 */
export async function restore(task: Task, options: RestoreOptions): Promise<Restored> {
	return restoreWith(await readyFor(task, options), task, options);
}

/** The same with an agent that is there already, in a hole of the process's layout. It is closed on any failure. */
export async function restoreWith(ready: Ready, task: Task, options: RestoreOptions): Promise<Restored> {
	const { ids = "same", stopped, untraced = false, failStep, requireUnchanged = () => {} } = options;
	const { agent } = ready;
	const alive: number[] = [];
	let init: Init | undefined;
	let encoded: AssembledPlan | undefined;
	try {
		const { plan, facts, policy } = await planWith(ready, task, options);
		encoded = assemble(plan, failStep === undefined ? {} : { failStep });
		const [carrierPid, initPid] = await registerKills(agent, 2);
		if (ids === "namespace") {
			init = await startInit(agent, task.identity.pid, initPid);
			alive.push(init.pid);
		}
		await agent.run({ load: encoded.pieces, doing: "taking in the plan" });
		await runWorkshop(agent, plan, encoded, WORKSHOP);
		const pid = await makeCarrier(agent, encoded, task, ids, carrierPid);
		alive.push(pid);
		await runWorkshop(agent, plan, encoded, WORKSHOP_END);
		await init?.watch();
		let offsets: Clocks | undefined;
		const clocks = async (): Promise<string> => {
			offsets = await offsetsFor(agent, plan);
			return timensOffsetsText(offsets);
		};
		await untilReady(agent, pid, encoded, clocks);
		const complete = { pid, task, facts, plan, encoded, policy, stopped, ids, requireUnchanged };
		// while it still has our credentials: without CAP_SYS_PTRACE we cannot read its /proc files later
		requireClocks(agent, pid, offsets);
		verifyWaiting(agent, complete);
		await untilReady(agent, pid, encoded, clocks);
		const leftover = untraced ? await release(agent, complete) : await releaseTraced(agent, complete);
		const findings = [...plan.findings, ...verifyOomScore(pid, task)];
		return living(agent, { pid, livingThread: livingThreadOf(pid, task), ids, findings }, leftover, init);
	} catch (error) {
		const report = await killAll(agent, alive);
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
export async function rehearseWith(ready: Ready, task: Task, options: RestoreOptions): Promise<Plan> {
	try {
		const { plan } = await planWith(ready, task, options);
		assemble(plan);
		return plan;
	} finally {
		await ready.agent.close();
	}
}

/** Starts an agent in a hole of the process's layout, with all that its bytes come from. */
async function readyFor(task: Task, options: RestoreOptions): Promise<Ready> {
	requireRoom(task, options);
	const given = sourcesOf(task);
	return { agent: await startAgent(holeFor(task), { inputs: given.map(descriptorOf) }), given };
}

/** The files that it is to get, open; what is done about the others; and all that will be done. */
async function planWith(
	{ agent, given, files: known }: Ready,
	task: Task,
	options: RestoreOptions,
): Promise<{ readonly plan: Plan; readonly facts: HostFacts; readonly policy: CompileOptions }> {
	const { ids = "same", stopped, untraced = false, trust = false } = options;
	requireRoom(task, options);
	const facts = await factsFor(agent, task, options);
	const opener = openerOf(task, facts);
	const files = known?.as(opener) ?? openFiles(agent, opener, trust);
	try {
		const wanted = { ...options, freshIds: ids === "fresh", stopsItself: untraced && stopped };
		const { policy, opened } = await openInputs(files, task, wanted, trust);
		const plan = compilePlan(task, facts, { ...policy, opened, given, hole: holeOf(agent) });
		requireRoomForMappings(task, plan.views);
		return { plan, facts, policy };
	} finally {
		files.closeContents();
	}
}

/** Checks of the host that need no agent. */
function requireRoom(task: Task, { ids = "same" }: RestoreOptions): void {
	requireRoomForMappings(task);
	const tids = task.threads.map(({ tid }) => tid);
	if (ids === "same") requireFreeIds(tids);
	if (ids === "namespace") requireNoFirst(tids);
}

const holeOf = ({ layout: { blob, free } }: Agent): Range => ({ start: blob, end: free.end });

/** The descriptor of a file that is open. */
export const descriptorOf = ({ name, fd }: ByteSource): number => {
	if (fd === undefined) throw new RangeError(`${name} is no open file`);
	return fd;
};

/** Facts of the namespaces that the process is made in, once the agent has entered them. */
async function factsFor(agent: Agent, task: Task, { ids = "same" }: RestoreOptions): Promise<HostFacts> {
	const made = await enterNamespaces(agent, task, ids);
	return { ...(await measureHost(agent)), ...made };
}

function living(
	agent: Agent,
	known: Pick<Restored, "pid" | "livingThread" | "ids" | "findings">,
	leftover: Range | undefined,
	init: Init | undefined,
): Restored {
	// once it has been waited for, its id is anybody's
	let early: WaitStatus | undefined;
	return {
		...known,
		...(leftover === undefined || lengthOf(leftover) === 0n ? {} : { leftover }),
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
