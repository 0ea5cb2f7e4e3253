import type { Extent } from "../../bytes/extent.ts";
import { encodeImage, type ImageRecord } from "../../criu/image.ts";
import { imageKinds, type KindName, type RecordOf } from "../../criu/kinds.ts";
import type { PagesPlan } from "../../criu/pages/pages.ts";
import type { NewImages } from "../../criu/store/new-images.ts";
import type { PstreeEntry } from "../../criu/wire/generated/schema.ts";
import { type Finding, ofProcess } from "../../finding.ts";
import { type Forest, forestOf, type Zombie } from "../../forest/forest.ts";
import type { LossAtDump, Task } from "../../forest/task.ts";
import { timensEntry } from "./clocks.ts";
import { leaderCore, threadCore, zombieCore } from "./cores.ts";
import { fileImages } from "./files.ts";
import { filesImage } from "./files-image.ts";
import { ghostImage, ghostName, ghostRecords } from "./ghosts.ts";
import { inventory, kernelIdsOf, OWN_IPC } from "./inventory.ts";
import { ipcImages, segmentPages } from "./ipc.ts";
import { lockEntries } from "./locks.ts";
import { mmEntry } from "./mm.ts";
import { objectImages } from "./objects.ts";
import { pageRuns } from "./pages.ts";
import { noSessionLeader, reportLosses, writable } from "./representable.ts";
import { SIDE_RECORD, sideRecord } from "./side-record.ts";
import { socketsInOrder } from "./socket-order.ts";

export interface ImageOptions {
	/**
	 * `false` leaves all bytes of memory out. Such images are a donor and nothing else: neither CRIU nor we can restore
	 * them, but patching with a core brings the memory.
	 */
	readonly pages: boolean;
	/**
	 * What is lost before the images are made, by process id. With it, and what the images cannot hold, whoever uses them is told
	 * again.
	 */
	readonly lost?: ReadonlyMap<number, readonly Finding[]>;
}

export interface TaskImages {
	/** A whole directory, for `writeNewDirectory`; it takes nothing of another. Page contents are references. */
	readonly draft: NewImages;
	/** What the images cannot hold. */
	readonly findings: readonly Finding[];
}

/** The images of one process: see {@link imagesFromForest}. */
export const imagesFromTask = (task: Task, options: ImageOptions): TaskImages =>
	imagesFromForest(forestOf([task]), options);

/**
 * Processes as the images that CRIU 4.2 would have made of them: the inverse of `forestFromImages`. They have the namespaces (but for
 * IPC) and the cgroup of whoever restores them. Ids of file descriptions become those of file entries, ids of descriptor tables name
 * fdinfo; what several processes have is there once.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT where contents lie outside private memory.
 * @throws RangeError when a number does not fit its field: a bug of the caller.
 */
export function imagesFromForest(forest: Forest, { pages, lost }: ImageOptions): TaskImages {
	const { processes, zombies, shared } = forest;
	const [root] = processes;
	const findings: Finding[] = [];
	const images = new Map<string, readonly (Uint8Array | Extent)[]>();
	const write = <K extends KindName>(name: string, kind: K, records: readonly ImageRecord<RecordOf<K>>[]): void =>
		void images.set(name, encodeImage({ kind: imageKinds[kind], records }));
	const values = <T>(list: readonly T[]): ImageRecord<T>[] => list.map((value) => ({ value }));

	const owner = root?.threads[0]?.credentials ?? { fsuid: 0, fsgid: 0 };
	const ghosts = ghostRecords(
		[...shared.ghosts.values()].map(({ thing }) => thing),
		owner,
	);
	const fileImage = filesImage(shared.descriptions, ghosts);
	const objects = objectImages(forest, fileImage);
	const files = fileImages(fileImage, objects.inode);
	const plans: PagesPlan[] = [];
	const told: Task[] = [];
	const ids = kernelIdsOf(processes);
	for (const [i, task] of processes.entries()) {
		const own: Finding[] = [];
		const report = (finding: Finding): void => void own.push(finding);
		const { pid, sid } = task.identity;
		if (task === root && sid !== pid) report(noSessionLeader(sid));
		reportLosses(task, report);
		const memory = writable(task, report);
		const file = fileImage.mapped.bind(undefined, memory.files);
		const mm = mmEntry(memory, undefined, { file, object: objects.shown }, report);
		const { descriptors, fs } = files.process(task, report);
		const kernelIds = ids[i];
		if (kernelIds !== undefined) {
			write(`ids-${pid}.img`, "ids", values([kernelIds]));
			write(`fdinfo-${kernelIds.files_id}.img`, "fdinfo", values(descriptors));
		}
		for (const [i, thread] of task.threads.entries())
			write(`core-${thread.tid}.img`, "core", values([i === 0 ? leaderCore(task, thread) : threadCore(thread)]));
		write(`mm-${pid}.img`, "mm", values([mm]));
		write(`fs-${pid}.img`, "fs", values([fs]));
		plans.push({
			...{ pages: `pages-${i + 1}.img`, pagemap: `pagemap-${pid}.img`, pagesId: i + 1 },
			...{ kind: "task", runs: pages ? pageRuns(memory) : [] },
		});
		const named = (finding: Finding): Finding => (processes.length > 1 ? ofProcess(finding, pid) : finding);
		const all = [...(lost?.get(pid) ?? []), ...own].map(named);
		told.push(lost === undefined ? task : { ...task, losses: lossesIn(all) });
		findings.push(...own.map(named));
	}
	for (const zombie of zombies) write(`core-${zombie.pid}.img`, "core", values([zombieCore(zombie)]));
	plans.push(...objects.pages);
	if (root?.ipc !== undefined) {
		const { settings, segments, semaphores, queues } = ipcImages(root.ipc);
		write(`ipcns-var-${OWN_IPC}.img`, "ipcns-var", [settings]);
		write(`ipcns-shm-${OWN_IPC}.img`, "ipcns-shm", segments);
		write(`ipcns-sem-${OWN_IPC}.img`, "ipcns-sem", semaphores);
		write(`ipcns-msg-${OWN_IPC}.img`, "ipcns-msg", queues);
		plans.push(...segmentPages(root.ipc, plans.length + 1));
	}

	write("inventory.img", "inventory", values([inventory]));
	write("pstree.img", "pstree", values(pstreeEntries(forest)));
	write("files.img", "files", values(socketsInOrder(fileImage.entries)));
	for (const { image, records } of files.queues()) if (records.length > 0) write(`${image}.img`, image, records);
	const { infos, data } = files.terminals();
	if (infos.length > 0) write("tty-info.img", "tty-info", values(infos));
	if (data.length > 0) write("tty-data.img", "tty-data", values(data));
	const packets = files.packets();
	if (packets.length > 0) write("sk-queues.img", "sk-queues", packets);
	if (objects.inodes.length > 0) write("memfd.img", "memfd", values(objects.inodes));
	const locks = lockEntries(processes);
	if (locks.length > 0) write("filelocks.img", "filelocks", values(locks));
	if (ghosts.remaps.length > 0) write("remap-fpath.img", "remap-fpath", values(ghosts.remaps));
	for (const ghost of ghosts.files) images.set(ghostName(ghost), ghostImage(ghost));
	const beside = sideRecord(told);
	if (beside !== undefined) write(SIDE_RECORD, "necromancer", values([beside]));
	// without it CRIU restores the processes to the clocks of the host
	if (root?.clocks !== undefined) write("timens-0.img", "timens", values([timensEntry(root.clocks)]));
	if (!pages)
		for (const { pages: file, pagemap, pagesId } of plans) {
			images.set(pagemap, emptyPagemap(pagesId));
			images.set(file, []);
		}
	return { draft: { copies: new Map(), images, pages: pages ? plans : [] }, findings };
}

/** Images name the parent only of those whose parent is in the images too. */
function pstreeEntries({ processes: [root, ...others], zombies }: Forest): PstreeEntry[] {
	const entryOf = ({ pid, pgid, sid }: Omit<Zombie, "status">, ppid: number, threads: readonly number[]) => ({
		...{ pid, ppid, pgid, sid, threads },
	});
	const tidsOf = ({ threads }: Task): number[] => threads.map(({ tid }) => tid);
	return [
		...(root === undefined ? [] : [entryOf(root.identity, 0, tidsOf(root))]),
		...others.map((task) => entryOf(task.identity, task.identity.ppid, tidsOf(task))),
		...zombies.map((zombie) => entryOf(zombie, zombie.ppid, [zombie.pid])),
	];
}

const lossesIn = (findings: readonly Finding[]): LossAtDump[] =>
	findings.flatMap(({ weight, subject, text }) => (weight === "loss" ? [{ subject, text }] : []));

/** A pagemap without entries, which writePages refuses for a task: nobody could restore it. */
const emptyPagemap = (pagesId: number) =>
	encodeImage({ kind: imageKinds.pagemap, head: { pages_id: pagesId }, records: [] });
