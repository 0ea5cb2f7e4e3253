import type { Agent } from "../agent/agent.ts";
import { PAGE_SIZE } from "../bytes/address.ts";
import { zeroEnded } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import { type Finding, loss } from "../finding.ts";
import type { IpcNamespace, Segment } from "../forest/ipc.ts";
import { type IpcListing, type LiveSegment, readIpcNamespace } from "../host/ipc-namespace.ts";
import { errnoName } from "../linux/errno.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { SHM } from "../linux/ipc.ts";
import { MAP_HUGE_SHIFT } from "../linux/mman.ts";
import { O } from "../linux/open.ts";
import { CLONE } from "../linux/sched.ts";
import { ifShown } from "../proc/if-shown.ts";
import { mapLink, pathOfLink } from "../proc/links.ts";
import { pathOfNamespace, readNamespace } from "../proc/namespaces.ts";
import { readSmaps } from "../proc/smaps.ts";
import { posixQueues } from "./posix-queues.ts";
import { contentsOfFile, openProcFile, type ProcFile } from "./proc-file.ts";

/** The IPC namespace of processes that are stopped. */
export interface LiveIpc {
	readonly namespace: IpcNamespace;
	/** Closes the files that contents refer to. */
	readonly close: () => void;
}

/** Whether a process lives in an IPC namespace that is not ours. */
export function hasOwnIpc(pid: number): boolean {
	const [theirs, ours] = [ifShown(() => readNamespace(pid, "ipc")), ifShown(() => readNamespace(process.pid, "ipc"))];
	return theirs !== undefined && theirs !== ours;
}

/**
 * The IPC namespace that processes live in, with all of its objects. The agent goes there and comes back. Nothing is changed but what
 * ipcs(1) tells of who looked last.
 *
 * @param pids of those who live in it; all others of that namespace should stand still too.
 * @param pages `false` leaves the bytes of segments out.
 * @throws NecromancerError ERR_UNSUPPORTED where they live in several, ERR_HOST where we may not enter theirs.
 */
export async function collectIpc(
	agent: Agent,
	pids: readonly number[],
	pages: boolean,
	report: (finding: Finding) => void,
): Promise<LiveIpc> {
	requireOne(pids);
	const opened: ProcFile[] = [];
	const close = (): void => {
		for (const { source } of opened.splice(0)) source.close();
	};
	const [pid = 0] = pids;
	const ours = await agent.call("openat", AT_FDCWD, zeroEnded(pathOfNamespace("self", "ipc")), O.RDONLY | O.CLOEXEC);
	const theirs = await agent.call("openat", AT_FDCWD, zeroEnded(pathOfNamespace(pid, "ipc")), O.RDONLY | O.CLOEXEC);
	const entered = theirs < 0n ? theirs : await agent.call("setns", theirs, CLONE.NEWIPC);
	if (entered < 0n) refuseEntry(pid, entered);
	try {
		const listing = await readIpcNamespace(agent);
		reportUndone(pids, listing, report);
		reportQueues(await posixQueues(agent), report);
		const forced = listing.settings.shm_rmid_forced?.[0] === 1n;
		const segments: Segment[] = [];
		for (const live of listing.segments) {
			const { attached, ...segment } = live;
			// to detach from what nobody else shows would be its end
			const seen = forced && attached === 0 ? undefined : await lookInto(agent, live);
			if (seen === undefined) reportUnread(live, report);
			else opened.push(seen.file);
			const contents = pages && seen !== undefined ? await contentsOfFile(agent, seen.file, PAGE_SIZE) : [];
			segments.push({ ...segment, ...(seen?.hugePages === undefined ? {} : { hugePages: seen.hugePages }), contents });
		}
		const semaphores = listing.semaphores.map(({ used: _, pids: __, ...set }) => set);
		return { namespace: { settings: listing.settings, segments, semaphores, queues: listing.queues }, close };
	} catch (error) {
		close();
		throw error;
	} finally {
		await agent.call("setns", ours, CLONE.NEWIPC);
		for (const fd of [ours, theirs]) await agent.call("close", fd);
	}
}

/** CRIU's images have room for one, and so has a forest. */
function requireOne(pids: readonly number[]): void {
	const [first = 0, ...others] = pids;
	const own = ifShown(() => readNamespace(first, "ipc"));
	const other = others.find((pid) => ifShown(() => readNamespace(pid, "ipc")) !== own);
	if (other !== undefined)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${other}`,
			finding: `is in another IPC namespace than process ${first}`,
			expectation: "expected one for all",
		});
}

const refuseEntry = (pid: number, result: bigint): never =>
	refuse("ERR_HOST", {
		subject: `process ${pid}`,
		finding: `is in an IPC namespace that we cannot enter (${errnoName(Number(result))})`,
		expectation: "expected to: what is in it has to be read",
		remedy: `be root or have CAP_SYS_ADMIN, run us there (nsenter -t ${pid} -i), or go on without: --allow-lost ipc`,
	});

interface Seen {
	readonly file: ProcFile;
	readonly hugePages?: number;
}

/** Opens a segment as the file that the kernel makes of it, by way of the agent, which shows it for a moment. */
async function lookInto(agent: Agent, { id, size }: LiveSegment): Promise<Seen> {
	const bad = (finding: string): never =>
		refuse("ERR_HOST", {
			subject: `System V segment ${id}`,
			finding,
			expectation: "expected to read it",
			remedy: "be root, or have CAP_IPC_OWNER and CAP_SYS_ADMIN",
		});
	const at = await agent.call("shmat", id, 0, SHM.RDONLY);
	if (at < 0n) return bad(`cannot be attached (${errnoName(Number(at))})`);
	try {
		const entry = readSmaps(agent.pid).find(({ start }) => start === at);
		const file = entry === undefined ? undefined : openProcFile(pathOfLink(agent.pid, mapLink(entry)));
		if (entry === undefined || file === undefined) return bad(`of ${size} bytes cannot be opened`);
		if (!entry.flags.has("ht")) return { file };
		return { file, hugePages: (SHM.HUGETLB | (Math.log2(entry.pageSize) << MAP_HUGE_SHIFT)) >>> 0 };
	} finally {
		await agent.call("shmdt", at);
	}
}

const reportUnread = ({ id }: LiveSegment, report: (finding: Finding) => void): void =>
	report(
		loss(
			"contents-lost",
			`System V segment ${id}`,
			"nobody shows it, and with kernel.shm_rmid_forced a look at it would be its end; its bytes read as zeros",
		),
	);

/** CRIU's images have no place for them. */
function reportQueues(names: readonly string[], report: (finding: Finding) => void): void {
	if (names.length === 0) return;
	const [some, more] = [names.slice(0, 5).map((name) => `/${name}`), names.length > 5 ? ", …" : ""];
	report(
		loss(
			"not-in-images",
			"IPC namespace",
			`has POSIX message queues (${some.join(", ")}${more}); they and what waits in them do not come back`,
		),
	);
}

/** What a process would undo at its end (SEM_UNDO) is told to nobody. That it used semaphores is. */
function reportUndone(pids: readonly number[], { semaphores }: IpcListing, report: (finding: Finding) => void): void {
	for (const { id, used, pids: users } of semaphores) {
		const known = used ? pids.find((pid) => users.includes(pid)) : undefined;
		if (known === undefined) continue;
		report(
			loss(
				"not-in-images",
				`System V semaphores ${id}`,
				`process ${known} has operated on them: what it was to undo at its end (SEM_UNDO) cannot be read, and is not undone any more`,
			),
		);
	}
}
