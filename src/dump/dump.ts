import type { Agent } from "../agent/agent.ts";
import type { Range } from "../bytes/range.ts";
import type { WriteOptions } from "../criu/pages/pages.ts";
import { requireFree, writeNewDirectory } from "../criu/store/new-directory.ts";
import { draftWork, type Written } from "../criu/store/new-images.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding } from "../finding.ts";
import type { Task } from "../forest/task.ts";
import { measureCpu } from "../host/cpu.ts";
import { withAgent } from "../host/facts.ts";
import { imagesFromTask } from "../images/write/to-images.ts";
import { PROT_READ } from "../linux/mman.ts";
import { SIGSTOP } from "../linux/signal.ts";
import { requireOwnProc } from "../proc/require-own-proc.ts";
import { openPagePipe, type PagePipe } from "../trace/page-pipe.ts";
import { pourPages } from "../trace/pour-pages.ts";
import { openMemory } from "../trace/process-memory.ts";
import { detachAll, kill, seizeAll } from "../trace/seize-all.ts";
import { collect, type StoppedProcess } from "./collect.ts";
import { type MissingDescriptors, requireDumpable } from "./descriptor-policy.ts";
import { ghostTable } from "./ghosts.ts";
import type { Losable } from "./losable.ts";
import { lostEnvironment, requireAllowed } from "./losses.ts";
import { objectTable } from "./objects.ts";
import { openDescriptors } from "./open-files.ts";
import { registerImagesRemoval } from "./register-removal.ts";
import { type DumpCandidate, requireAlive, requireCandidate, requireSame } from "./requirements.ts";

export interface DumpOptions extends WriteOptions {
	/** The directory: absent or empty. */
	readonly images: string;
	/** What becomes of the process when its images are complete. When they are not, it goes on in any case. */
	readonly afterwards: "end" | "run" | "stop";
	/** Without its memory, as a donor for a core. */
	readonly pages: boolean;
	readonly missing: MissingDescriptors;
	/** What may be lost; the dump of a process that has anything else of {@link losable} is refused. */
	readonly allowLost?: ReadonlySet<Losable>;
	/** Told how many bytes there are to write, before the first is. */
	readonly announce?: (bytes: bigint) => void;
}

/** What came of a dump. */
export interface Dumped {
	readonly task: Task;
	readonly findings: readonly Finding[];
	readonly written: Written;
	/** Milliseconds for which the process stood still. */
	readonly frozen: number;
}

/**
 * Writes the images of a living process, with all its threads. When it fails, and also when we are killed, the process runs on
 * unchanged: the agent's undo list removes the parasite, and without PTRACE_O_EXITKILL the end of the tracer detaches it.
 *
 * @throws NecromancerError ERR_PROCESS, ERR_UNSUPPORTED, ERR_HOST, ERR_OUTPUT_EXISTS, mostly before it is touched; ERR_IO.
 */
export async function dump(pid: number, options: DumpOptions): Promise<Dumped> {
	const { images, afterwards, signal } = options;
	requireOwnProc();
	requireFree(images);
	const candidate = requireCandidate(pid);
	const findings = leftBehind(candidate, afterwards);
	requireAllowed(lostEnvironment(pid), options.allowLost ?? new Set(), (finding) => findings.push(finding));
	return await withAgent(async (agent) => {
		await requireDumpable(agent, pid, openDescriptors(pid), options.missing);
		const cpu = await measureCpu(agent);
		signal?.throwIfAborted();
		const since = performance.now();
		const tids = await seizeAll(agent, pid);
		try {
			requireSame(candidate);
			const stopped = { pid, tids, stopped: candidate.status.state === "T", cpu };
			const { task, written } = await write(agent, stopped, options, findings);
			if (afterwards === "end") await kill(agent, pid);
			else await detachAll(agent, tids, afterwards === "stop" ? [SIGSTOP] : []);
			return { task, findings, written, frozen: Math.round(performance.now() - since) };
		} catch (cause) {
			await detachAll(agent, tids).catch(() => undefined);
			requireAlive(candidate, cause);
			throw cause;
		}
	});
}

/** Findings about its children: a restore makes it neither their parent again, nor them its children. */
function leftBehind({ pid, children }: DumpCandidate, afterwards: DumpOptions["afterwards"]): Finding[] {
	if (children.length === 0) return [];
	const list = children.slice(0, 5).join(", ") + (children.length > 5 ? ", …" : "");
	if (afterwards === "end")
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${pid}`,
			finding: `has child processes (${list})`,
			expectation: "which this version does not dump with it",
			remedy: "end them first, or dump it with -R and let it run",
		});
	return [
		caution(
			"children-left",
			`process ${pid}`,
			`its child processes (${list}) are not dumped; it will not find them again`,
		),
	];
}

/** Bytes: fewer are copied faster than a pipe is set up. */
const WORTH_A_PIPE = 8n << 20n;

async function write(
	agent: Agent,
	process: Pick<StoppedProcess, "pid" | "tids" | "stopped" | "cpu">,
	options: DumpOptions,
	findings: Finding[],
): Promise<{ readonly task: Task; readonly written: Written }> {
	const { pid } = process;
	const { images, pages, missing, announce, allowLost = new Set<Losable>() } = options;
	let pipe: PagePipe | undefined;
	let unreadable: readonly Range[] = [];
	const memory = openMemory(pid, (extents, into) => pourPages(agent, { pipe, unreadable }, extents, into));
	const objects = objectTable(pid);
	const ghosts = ghostTable();
	try {
		const report = (finding: Finding): void => void findings.push(finding);
		const { task, caller } = await collect(agent, {
			...process,
			memory,
			objects,
			ghosts,
			report,
			pages,
			missing,
			allowLost,
		});
		const { draft, findings: lost } = imagesFromTask(task, { pages, lost: findings });
		findings.push(...lost);
		announce?.(draftWork(draft));
		options.signal?.throwIfAborted();
		unreadable = task.memory.mappings.filter(({ prot }) => (prot & PROT_READ) === 0);
		if (draftWork(draft) >= WORTH_A_PIPE) pipe = await openPagePipe(agent, caller, memory);
		const leaving: WriteOptions["leaving"] = (left) => registerImagesRemoval(agent, left, pipe?.addTakingOut);
		const written = await writeNewDirectory(draft, undefined, images, { ...options, leaving });
		await pipe?.close();
		return { task, written };
	} catch (cause) {
		// the first error is the one to report
		await pipe?.close().catch(() => undefined);
		throw cause;
	} finally {
		objects.close();
		ghosts.close();
		memory.close();
	}
}
