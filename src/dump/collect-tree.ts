import type { Agent } from "../agent/agent.ts";
import { defined } from "../bytes/defined.ts";
import type { Finding } from "../finding.ts";
import type { ProcessClocks } from "../forest/clocks.ts";
import { type Forest, forestOf } from "../forest/forest.ts";
import type { IpcNamespace } from "../forest/ipc.ts";
import { withLocksOnce } from "../forest/locks-once.ts";
import type { Task } from "../forest/task.ts";
import { withThingsShown } from "../forest/things-shown.ts";
import { clockOriginOf } from "../host/clocks.ts";
import type { CpuState } from "../host/cpu.ts";
import type { ProcessMemory } from "../trace/process-memory.ts";
import type { VictimThread } from "../trace/victim-memory.ts";
import { type ClocksRead, type Collected, collect } from "./collect.ts";
import type { MissingDescriptors } from "./descriptor-policy.ts";
import { filesOf } from "./files.ts";
import type { FrozenTree } from "./freeze.ts";
import type { LiveGhosts } from "./ghosts.ts";
import { identitiesOf } from "./identities.ts";
import type { Losable } from "./losable.ts";
import { requireAllowed } from "./losses.ts";
import type { LiveObjects } from "./objects.ts";
import { tablesOf } from "./separate.ts";
import type { LiveTerminals } from "./terminals.ts";

/** What processes that stand still are read with. */
export interface Reading {
	readonly cpu: CpuState;
	/** The memory of each. */
	readonly memoryOf: (pid: number) => ProcessMemory;
	readonly objects: LiveObjects;
	readonly ghosts: LiveGhosts;
	/** That of all of them, where it is not ours. */
	readonly ipc?: IpcNamespace | undefined;
	readonly terminals: LiveTerminals;
	readonly pages: boolean;
	readonly missing: MissingDescriptors;
	/** Whether their locks on files are kept. */
	readonly locks: boolean;
	readonly allowLost: ReadonlySet<Losable>;
	readonly report: (pid: number, finding: Finding) => void;
}

export interface CollectedTree {
	readonly forest: Forest;
	/** By process id: the thread that calls are injected into. */
	readonly callers: ReadonlyMap<number, VictimThread>;
}

/**
 * Reads processes that stand still into a forest: what several have is read once, and is the very same value in each.
 *
 * @throws NecromancerError ERR_UNSUPPORTED, ERR_HOST, ERR_IO; ERR_PROCESS when one is killed.
 */
export async function collectTree(
	agent: Agent,
	{ processes, zombies }: FrozenTree,
	reading: Reading,
): Promise<CollectedTree> {
	const { memoryOf, missing, locks, allowLost, ghosts, objects, terminals } = reading;
	const collected: Collected[] = [];
	const opening = [];
	for (const { candidate, ...seized } of processes) {
		const { pid } = candidate;
		const memory = memoryOf(pid);
		const report = (finding: Finding): void => reading.report(pid, finding);
		const own = { pid, ...seized, memory, objects: objects.of(pid, memory.source), report };
		const one = await collect(agent, { ...reading, ...own });
		collected.push(one);
		opening.push({ ...own, status: one.status });
	}
	const along = new Set([...processes.map(({ candidate }) => candidate.pid), ...zombies.map(({ pid }) => pid)]);
	const tables = await tablesOf(agent, opening);
	const files = await filesOf(agent, tables, { missing, locks, along, ghosts, terminals, allowLost });
	const clocks = clocksOf(collected);
	const shared = { objects: await objects.collect(agent, reading.pages) };
	for (const { pid, path } of ghosts.linked())
		requireAllowed([{ what: "links", subject: `process ${pid}`, found: path }], allowLost, (finding) =>
			reading.report(pid, finding),
		);
	const things = { ...shared, ghosts: await ghosts.collect(agent) };
	const tasks = collected.map(({ task }): Task => {
		const { pid } = task.identity;
		const whole = withThingsShown({ ...task, files: files.get(pid) ?? task.files, ...defined({ clocks }) }, things);
		return { ...whole, files: { ...whole.files, identities: identitiesOf(pid, whole) } };
	});
	return {
		forest: forestOf(withLocksOnce(tasks), zombies),
		callers: new Map(collected.map(({ task, caller }) => [task.identity.pid, caller])),
	};
}

/**
 * The clocks of all: what they are when the last of them has told what its timers had left. A deadline that is computed from both
 * must not come early.
 */
function clocksOf([root]: readonly { readonly task: Task; readonly clocks: ClocksRead }[]): ProcessClocks | undefined {
	if (root === undefined) return undefined;
	const { clocks, asked } = root.clocks;
	const since = process.hrtime.bigint() - asked;
	const origin = clockOriginOf(root.task.identity.pid);
	return {
		monotonic: clocks.monotonic + since,
		boottime: clocks.boottime + since,
		realtime: clocks.realtime + since,
		witness: "read",
		...defined({ origin }),
	};
}
