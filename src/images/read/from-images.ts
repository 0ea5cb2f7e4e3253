import { defined } from "../../bytes/defined.ts";
import { once } from "../../bytes/once.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import type { PstreeEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import { type Forest, forestOf, type Zombie } from "../../forest/forest.ts";
import { withLocksOnce } from "../../forest/locks-once.ts";
import type { Task } from "../../forest/task.ts";
import { withThingsShown } from "../../forest/things-shown.ts";
import { fileEntries, packetsIn, queuesIn, type SharedTables, terminalsOf } from "./files.ts";
import { ghostsOf } from "./ghosts.ts";
import { ipcIn } from "./ipc.ts";
import { objectsOf } from "./objects.ts";
import { processFrom } from "./process.ts";
import { isZombie, treeOf } from "./tree.ts";

/** The processes of an image directory, parents before children. */
export const processesOf = (dir: ImageDir): readonly { readonly pid: number; readonly comm: string }[] =>
	treeOf(dir).map(({ pid }) => ({ pid, comm: dir.one(`core-${pid}.img`, "core").tc?.comm ?? "?" }));

/**
 * One process of an image directory as a {@link Task}.
 *
 * @param pid which; may be left out where there is only one.
 * @throws NecromancerError ERR_DONOR_AMBIGUOUS, and whatever is wrong with the images.
 */
export function taskFromImages(dir: ImageDir, pid?: number): Task {
	const processes = treeOf(dir);
	const entry =
		pid === undefined && processes.length === 1 ? processes[0] : processes.find((process) => process.pid === pid);
	if (entry === undefined)
		return refuse(pid === undefined ? "ERR_DONOR_AMBIGUOUS" : "ERR_IMAGE_MISSING", {
			subject: `${dir.path}/pstree.img`,
			finding:
				pid === undefined
					? `holds ${processes.length} processes (${processes.map((p) => p.pid).join(", ")})`
					: `has no process ${pid}`,
			expectation: pid === undefined ? "expected one" : `only ${processes.map((p) => p.pid).join(", ")}`,
			remedy: "choose one with --donor-pid",
		});
	const shared = tablesOf(dir, [entry]);
	return withShared(processFrom(dir, entry, shared), shared);
}

/**
 * All processes of an image directory: what they share is read once, and has one id for all of them.
 *
 * @throws NecromancerError whatever is wrong with the images.
 */
export function forestFromImages(dir: ImageDir): Forest {
	const entries = treeOf(dir);
	const living = entries.filter(({ pid }) => !isZombie(dir, pid));
	const shared = tablesOf(dir, living);
	const unfinished = living.map((entry) => processFrom(dir, entry, shared));
	return forestOf(
		withLocksOnce(unfinished.map((task) => withShared(task, shared))),
		entries.filter((entry) => !living.includes(entry)).map((entry) => zombieFrom(dir, entry)),
	);
}

function zombieFrom(dir: ImageDir, { pid, ppid, pgid, sid }: PstreeEntry): Zombie {
	const { tc } = dir.one(`core-${pid}.img`, "core");
	return { pid, ppid, pgid, sid, comm: tc?.comm ?? "?", status: tc?.exit_code ?? 0 };
}

function tablesOf(dir: ImageDir, processes: readonly PstreeEntry[]): SharedTables {
	const met = new Set<number>();
	const common = new Set<number>();
	if (processes.length > 1)
		for (const { pid } of processes) {
			const { files_id: id } = dir.one(`ids-${pid}.img`, "ids");
			(met.has(id) ? common : met).add(id);
		}
	return {
		...{ objects: objectsOf(dir), ghosts: ghostsOf(dir, fileEntries(dir)), ipc: ipcIn(dir), common },
		...{ tables: new Map(), descriptions: new Map(), together: new Set(processes.map(({ pid }) => pid)) },
		queues: once(() => queuesIn(dir)),
		terminals: once(() => terminalsOf(dir)),
		packets: once(() => packetsIn(dir)),
	};
}

/** Memory objects and files without a name: how large they are is known when all that show them are read. */
const withShared = (task: Task, { objects, ghosts, ipc }: SharedTables): Task =>
	withThingsShown(
		{ ...task, ...defined({ ipc: ipc.of(task.identity.pid) }) },
		{ objects: objects.list(), ghosts: ghosts.list() },
	);
