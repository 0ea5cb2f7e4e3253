import type { Agent } from "../agent/agent.ts";
import type { WriteOptions } from "../criu/pages/pages.ts";
import { requireFree, writeNewDirectory } from "../criu/store/new-directory.ts";
import { draftWork, type Written } from "../criu/store/new-images.ts";
import type { Finding } from "../finding.ts";
import type { Forest } from "../forest/forest.ts";
import { measureCpu } from "../host/cpu.ts";
import { withAgent } from "../host/facts.ts";
import { imagesFromForest } from "../images/write/to-images.ts";
import { PROT_READ } from "../linux/mman.ts";
import { SIGSTOP } from "../linux/signal.ts";
import { requireOwnProc } from "../proc/require-own-proc.ts";
import { openMemory, type ProcessMemory } from "../trace/process-memory.ts";
import { detachAll, killAll } from "../trace/seize-all.ts";
import { collectTree, type Reading } from "./collect-tree.ts";
import { type MissingDescriptors, requireDumpable } from "./descriptor-policy.ts";
import { candidatesOf, type FrozenTree, freezeTree } from "./freeze.ts";
import { ghostTable } from "./ghosts.ts";
import { collectIpc, hasOwnIpc, type LiveIpc } from "./ipc.ts";
import type { Losable } from "./losable.ts";
import { lostEnvironment, requireAllowed } from "./losses.ts";
import { objectTable } from "./objects.ts";
import { openDescriptors } from "./open-files.ts";
import { type Poured, pour } from "./pour.ts";
import { dumpUndo } from "./register-removal.ts";
import { type DumpCandidate, hasEnded, requireAlive } from "./requirements.ts";
import { requireSeparate } from "./separate.ts";
import { type LiveTerminals, terminalTable } from "./terminals.ts";
import { type Told, toldOf } from "./told.ts";

export interface DumpOptions extends WriteOptions {
	/** The directory: absent or empty. */
	readonly images: string;
	/** What becomes of the processes when their images are complete. When they are not, they go on in any case. */
	readonly afterwards: "end" | "run" | "stop";
	/** Without their memory, as donors for cores. */
	readonly pages: boolean;
	readonly missing: MissingDescriptors;
	/** They may have a terminal whose other end is elsewhere: whoever restores them gives them theirs. */
	readonly shellJob?: boolean;
	/** Whether their locks on files are kept; they are when absent. */
	readonly locks?: boolean;
	/** What may be lost; the dump of a process that has anything else of {@link losable} is refused. */
	readonly allowLost?: ReadonlySet<Losable>;
	/** Told how many bytes there are to write, before the first is. */
	readonly announce?: (bytes: bigint) => void;
}

/** What came of a dump. */
export interface Dumped {
	/** The process, first, and all that come from it. */
	readonly forest: Forest;
	readonly findings: readonly Finding[];
	readonly written: Written;
	/** Milliseconds for which the processes stood still. */
	readonly frozen: number;
}

/**
 * Writes the images of a living process and of all that come from it, with all their threads. When it fails, and also when we are
 * killed, all run on unchanged: the agent's undo list removes the parasite, and without PTRACE_O_EXITKILL the end of the tracer
 * detaches them.
 *
 * @throws NecromancerError ERR_PROCESS, ERR_UNSUPPORTED, ERR_HOST, ERR_OUTPUT_EXISTS, mostly before any is touched; ERR_IO.
 */
export async function dump(pid: number, options: DumpOptions): Promise<Dumped> {
	const { images, afterwards, signal } = options;
	requireOwnProc();
	requireFree(images);
	const candidates = candidatesOf(pid);
	const told = toldOf();
	const terminals = terminalTable(options.shellJob === true, told.report);
	return await withAgent(async (agent) => {
		const together = candidates.map(({ pid }) => pid);
		await ofTheLiving(candidates, (living) =>
			requireAcceptable(agent, living, together, { ...options, terminals }, told),
		);
		const cpu = await measureCpu(agent);
		signal?.throwIfAborted();
		const since = performance.now();
		const tree = await freezeTree(agent, candidates, (met) => {
			together.push(met.pid);
			return ofTheLiving([met], (living) =>
				requireAcceptable(agent, living, together, { ...options, terminals }, told),
			);
		});
		const { processes } = tree;
		try {
			await requireSeparate(
				agent,
				processes.map(({ candidate }) => candidate.pid),
			);
			const { forest, findings, written } = await write(agent, tree, { ...options, cpu, terminals }, told);
			if (afterwards === "end") await killAll(agent, processes);
			else await detachAll(agent, processes, afterwards === "stop" ? [SIGSTOP] : []);
			return { forest, findings, written, frozen: Math.round(performance.now() - since) };
		} catch (cause) {
			await detachAll(agent, processes).catch(() => undefined);
			for (const { candidate } of processes) requireAlive(candidate.pid, cause);
			throw cause;
		}
	});
}

/**
 * Looks at those that have not ended: whoever waits for short programs has others at any moment. Where one ends meanwhile, what was
 * found of it is no reason.
 */
async function ofTheLiving(
	candidates: readonly DumpCandidate[],
	look: (living: readonly DumpCandidate[]) => Promise<void>,
): Promise<void> {
	const living = candidates.filter(({ pid }) => !hasEnded(pid));
	try {
		await look(living);
	} catch (cause) {
		// nobody comes to life, so that there are fewer each time
		if (!living.some(({ pid }) => hasEnded(pid))) throw cause;
		await ofTheLiving(living, look);
	}
}

/** Refuses processes by what can be seen of them while they run. @throws NecromancerError ERR_UNSUPPORTED, ERR_HOST */
async function requireAcceptable(
	agent: Agent,
	candidates: readonly DumpCandidate[],
	together: readonly number[],
	{ missing, terminals, allowLost = new Set() }: DumpOptions & { readonly terminals: LiveTerminals },
	told: Told,
): Promise<void> {
	// an IPC namespace is dumped, unless it is to be lost
	const lost = candidates.flatMap(({ pid }) =>
		lostEnvironment(pid, allowLost).flatMap((one) =>
			one.what !== "ipc" || allowLost.has("ipc") ? [{ pid, one }] : [],
		),
	);
	requireAllowed(
		lost.map(({ one }) => one),
		allowLost,
		() => {},
	);
	for (const { pid, one } of lost) requireAllowed([one], allowLost, (finding) => told.report(pid, finding));
	await requireDumpable(
		agent,
		candidates.map(({ pid }) => ({ pid, open: openDescriptors(pid) })),
		missing,
		terminals,
		together,
	);
}

interface Outcome extends Pick<Dumped, "forest" | "findings" | "written"> {}

async function write(
	agent: Agent,
	tree: FrozenTree,
	options: DumpOptions & Pick<Reading, "cpu" | "terminals">,
	told: Told,
): Promise<Outcome> {
	const { images, pages, missing, announce, locks = true, cpu, terminals, allowLost = new Set<Losable>() } = options;
	const undo = dumpUndo(agent);
	const poured = new Map<number, Poured>();
	const memories = new Map<number, ProcessMemory>();
	const [objects, ghosts] = [objectTable(), ghostTable()];
	let ipc: LiveIpc | undefined;
	try {
		const pids = tree.processes.map(({ candidate }) => candidate.pid);
		const [root = 0] = pids;
		if (!allowLost.has("ipc") && pids.some(hasOwnIpc))
			ipc = await collectIpc(agent, pids, pages, (finding) => told.report(root, finding));
		const memoryOf = (pid: number): ProcessMemory => {
			const memory = openMemory(pid, async (extents, into) => {
				const process = poured.get(pid);
				if (process === undefined) throw new RangeError(`process ${pid} has not been read yet`);
				await pour(agent, undo, process, extents, into);
			});
			memories.set(pid, memory);
			return memory;
		};
		const around = { objects, ghosts, terminals, ipc: ipc?.namespace };
		const reading = { cpu, memoryOf, ...around, pages, missing, locks, allowLost, report: told.report };
		const { forest, callers } = await collectTree(agent, tree, reading);
		const { draft, findings } = imagesFromForest(forest, { pages, lost: told.by });
		for (const { identity, memory } of forest.processes) {
			const [own, caller] = [memories.get(identity.pid), callers.get(identity.pid)];
			const unreadable = memory.mappings.filter(({ prot }) => (prot & PROT_READ) === 0);
			if (own !== undefined && caller !== undefined) poured.set(identity.pid, { memory: own, caller, unreadable });
		}
		announce?.(draftWork(draft));
		options.signal?.throwIfAborted();
		const written = await writeNewDirectory(draft, undefined, images, { ...options, leaving: undo.leaving });
		return { forest, findings: [...told.findings(forest.processes.length > 1), ...findings], written };
	} finally {
		objects.close();
		ghosts.close();
		ipc?.close();
		for (const memory of memories.values()) memory.close();
	}
}
