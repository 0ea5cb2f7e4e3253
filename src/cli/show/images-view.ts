import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { defined } from "../../bytes/defined.ts";
import { attempt } from "../../bytes/source.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { type KindName, kindOfFile, rawKindOfFile } from "../../criu/kinds.ts";
import type { InventoryEntry, TaskKobjIdsEntry, TimensEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import { type Finding, loss, note } from "../../finding.ts";
import { commandLineOf } from "../../forest/command-line.ts";
import type { Task } from "../../forest/task.ts";
import { forestFromImages, taskFromImages } from "../../images/read/from-images.ts";
import { treeOf } from "../../images/read/tree.ts";
import { x86View } from "./registers.ts";
import { type SharedView, sharedIn } from "./shared.ts";
import { mappingsOfTask } from "./task-memory.ts";
import { type FileView, filesOf, type MappingView, type ThreadView } from "./view.ts";

/** Everything that is shown of an image directory. */
export interface ImagesView {
	/** The directory's name. */
	readonly name: string;
	readonly inventory: InventoryEntry;
	/** Files in the directory, and bytes in them altogether. */
	readonly fileCount: number;
	readonly bytes: bigint;
	readonly parent?: string;
	/** Parents before children. */
	readonly tree: readonly TreeEntry[];
	/** Those that were asked for and are not zombies. */
	readonly processes: readonly ProcessView[];
	/** What several of all processes have; absent where one was asked for. */
	readonly shared?: readonly SharedView[];
	/** Readings of the clocks at the dump. */
	readonly clock?: TimensEntry;
	/** Images of which nothing is shown. */
	readonly others: readonly OtherImage[];
	readonly findings: readonly Finding[];
}

export interface TreeEntry {
	readonly pid: number;
	readonly ppid: number;
	/** Process group and session. */
	readonly pgid: number;
	readonly sid: number;
	readonly comm: string;
	readonly state: "running" | "stopped" | "zombie" | "unknown";
	readonly threads: readonly number[];
	/** Of a zombie, as wait(2) gives it. */
	readonly status?: number;
}

export interface ProcessView extends TreeEntry {
	readonly task: Task;
	readonly arguments: readonly string[];
	readonly threadViews: readonly ThreadView[];
	readonly mappings: readonly MappingView[];
	readonly files: readonly FileView[];
	/** Namespaces that the dumper did not share. Absent where the images do not tell. */
	readonly ownNamespaces?: readonly string[];
}

export interface OtherImage {
	readonly name: string;
	/** Absent for a file that is no image we know. */
	readonly kind?: string;
	/** Bytes. */
	readonly size: number;
}

/** @throws NecromancerError ERR_IMAGE_MISSING when there is no process `pid`; whatever is wrong with the images. */
export function viewOfImages(dir: ImageDir, pid: number | undefined): ImagesView {
	const inventory = dir.one("inventory.img", "inventory");
	const tree = entriesOf(dir);
	if (pid !== undefined && !tree.some((entry) => entry.pid === pid)) {
		refuse("ERR_IMAGE_MISSING", {
			subject: `${dir.path}/pstree.img`,
			finding: `has no process ${pid}`,
			expectation: `only ${tree.map((entry) => entry.pid).join(", ")}`,
		});
	}
	const sizes = new Map(dir.names.map((name) => [name, attempt(name, () => statSync(join(dir.path, name)).size)]));
	const forest = pid === undefined ? forestFromImages(dir) : undefined;
	const tasks = forest?.processes ?? [];
	const clock = dir.names.find((name) => kindOfFile(name)?.name === "timens");
	return {
		name: basename(resolve(dir.path)),
		inventory,
		fileCount: dir.names.length,
		bytes: BigInt([...sizes.values()].reduce((sum, size) => sum + size, 0)),
		...defined({ parent: dir.parent }),
		tree,
		processes: tree
			.filter((entry) => entry.state !== "zombie" && (pid === undefined || entry.pid === pid))
			.map((entry) => {
				const task = tasks.find(({ identity }) => identity.pid === entry.pid) ?? taskFromImages(dir, entry.pid);
				return processOf(dir, entry, task, inventory);
			}),
		...(forest === undefined ? {} : { shared: sharedIn(forest) }),
		...(clock === undefined ? {} : { clock: dir.one(clock, "timens") }),
		others: othersIn(sizes),
		findings: findingsOf(dir, tree),
	};
}

/** task_core_entry.task_state. */
const states: Readonly<Record<number, TreeEntry["state"]>> = { 1: "running", 2: "zombie", 3: "stopped" };

const entriesOf = (dir: ImageDir): TreeEntry[] =>
	treeOf(dir).map(({ pid, ppid, pgid, sid, threads }) => {
		const { tc, thread_info } = dir.one(`core-${pid}.img`, "core");
		const state = tc !== undefined && thread_info === undefined ? "zombie" : (states[tc?.task_state ?? 0] ?? "unknown");
		const common = { pid, ppid, pgid, sid, comm: tc?.comm ?? "", state };
		return state === "zombie"
			? { ...common, threads: [], ...defined({ status: tc?.exit_code }) }
			: { ...common, threads };
	});

function processOf(dir: ImageDir, entry: TreeEntry, task: Task, { root_ids }: InventoryEntry): ProcessView {
	const { memory } = task;
	const mappings = mappingsOfTask(task);
	const ids = dir.has(`ids-${entry.pid}.img`) ? dir.one(`ids-${entry.pid}.img`, "ids") : undefined;
	return {
		...entry,
		task,
		arguments: commandLineOf(memory),
		threadViews: task.threads.map(({ tid, name, registers, xstate, blocked, pending }, i) => ({
			tid,
			name,
			leader: i === 0,
			died: false,
			...x86View(registers, xstate),
			blocked,
			pending: pending.map(signalOf),
		})),
		mappings,
		files: filesOf(mappings, memory.executable, (path) => memory.files.get(path) ?? {}),
		...(ids === undefined || root_ids === undefined ? {} : { ownNamespaces: ownNamespaces(ids, root_ids) }),
	};
}

/** `si_signo`, the first word of a siginfo. */
const signalOf = (siginfo: Uint8Array): number =>
	Buffer.from(siginfo)
		.subarray(0, 4)
		.reduceRight((n, byte) => n * 256 + byte, 0);

const namespaces = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] as const;

/** Ids of namespaces are mere labels: equal to the dumper's means the same namespace. */
const ownNamespaces = (ids: TaskKobjIdsEntry, dumper: TaskKobjIdsEntry): string[] =>
	namespaces.filter((name) => {
		const label = ids[`${name}_ns_id`];
		return label !== undefined && dumper[`${name}_ns_id`] !== undefined && label !== dumper[`${name}_ns_id`];
	});

const shown: ReadonlySet<KindName> = new Set([
	...(["inventory", "pstree", "core", "ids", "mm", "fs", "pagemap", "fdinfo", "files", "memfd", "timens"] as const),
]);

const othersIn = (sizes: ReadonlyMap<string, number>): OtherImage[] =>
	[...sizes].flatMap(([name, size]) => {
		const known = kindOfFile(name);
		const raw = rawKindOfFile(name);
		if ((known !== undefined && shown.has(known.name)) || raw?.name === "pages") return [];
		const kind = known?.name ?? raw?.name;
		return [{ name, size, ...defined({ kind }) }];
	});

const findingsOf = (dir: ImageDir, tree: readonly TreeEntry[]): Finding[] => [
	...(dir.parent === undefined
		? []
		: [
				loss(
					"incremental-donor",
					`parent ${dir.parent}`,
					"unchanged pages lie in that directory: they are not counted here",
				),
			]),
	...tree
		.filter(({ state }) => state === "zombie")
		.map(({ pid, comm }) =>
			note("thread-state", `process ${pid} (${comm})`, "a zombie: nothing but its exit status is left"),
		),
];
