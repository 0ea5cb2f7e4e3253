import type { Extent } from "../../bytes/extent.ts";
import { encodeImage, type ImageRecord } from "../../criu/image.ts";
import { imageKinds, type KindName, type RecordOf } from "../../criu/kinds.ts";
import type { PagesPlan } from "../../criu/pages/pages.ts";
import type { NewImages } from "../../criu/store/new-images.ts";
import type { PstreeEntry } from "../../criu/wire/generated/schema.ts";
import type { Finding } from "../../finding.ts";
import type { LossAtDump, Task } from "../../forest/task.ts";
import { timensEntry } from "./clocks.ts";
import { leaderCore, threadCore } from "./cores.ts";
import { fileImages } from "./files.ts";
import { filesImage } from "./files-image.ts";
import { ghostImage, ghostName, ghostRecords } from "./ghosts.ts";
import { FILES_ID, inventory, kernelIds } from "./inventory.ts";
import { mmEntry } from "./mm.ts";
import { objectImages } from "./objects.ts";
import { pageRuns } from "./pages.ts";
import { reportLosses, writable } from "./representable.ts";
import { SIDE_RECORD, sideRecord } from "./side-record.ts";

export interface ImageOptions {
	/**
	 * `false` leaves all bytes of memory out. Such images are a donor and nothing else: neither CRIU nor we can restore
	 * them, but patching with a core brings the memory.
	 */
	readonly pages: boolean;
	/** What is lost before the images are made. With it, and what the images cannot hold, whoever uses them is told again. */
	readonly lost?: readonly Finding[];
}

export interface TaskImages {
	/** A whole directory, for `writeNewDirectory`; it takes nothing of another. Page contents are references. */
	readonly draft: NewImages;
	/** What the images cannot hold. */
	readonly findings: readonly Finding[];
}

/**
 * A process as the images that CRIU 4.2 would have made of it: the inverse of `taskFromImages`. It is the root of its tree,
 * with the namespaces and the cgroup of whoever restores it. Ids of file descriptions become those of file entries.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT where contents lie outside private memory.
 * @throws RangeError when a number does not fit its field: a bug of the caller.
 */
export function imagesFromTask(task: Task, { pages, lost }: ImageOptions): TaskImages {
	const findings: Finding[] = [];
	const report = (finding: Finding): void => void findings.push(finding);
	const images = new Map<string, readonly (Uint8Array | Extent)[]>();
	const write = <K extends KindName>(name: string, kind: K, records: readonly ImageRecord<RecordOf<K>>[]): void =>
		void images.set(name, encodeImage({ kind: imageKinds[kind], records }));
	const values = <T>(list: readonly T[]): ImageRecord<T>[] => list.map((value) => ({ value }));

	reportLosses(task, report);
	const { pid } = task.identity;
	const memory = writable(task.memory, report);
	const ghosts = ghostRecords(memory.ghosts ?? [], task.threads[0]?.credentials ?? { fsuid: 0, fsgid: 0 });
	const fileImage = filesImage(task.files, memory.files, ghosts);
	const objects = objectImages(task, fileImage);
	const mm = mmEntry(memory, undefined, { file: fileImage.mapped, object: objects.shown }, report);
	const files = fileImages(task, fileImage, objects.inode, report);

	write("inventory.img", "inventory", values([inventory]));
	write("pstree.img", "pstree", values([pstreeEntry(task)]));
	write(`ids-${pid}.img`, "ids", values([kernelIds]));
	for (const [i, thread] of task.threads.entries())
		write(`core-${thread.tid}.img`, "core", values([i === 0 ? leaderCore(task, thread) : threadCore(thread)]));
	write(`mm-${pid}.img`, "mm", values([mm]));
	write(`fs-${pid}.img`, "fs", values([files.fs]));
	write(`fdinfo-${FILES_ID}.img`, "fdinfo", values(files.descriptors));
	write("files.img", "files", values(fileImage.entries));
	if (files.pipes.length > 0) write("pipes-data.img", "pipes-data", files.pipes);
	if (files.fifos.length > 0) write("fifo-data.img", "fifo-data", files.fifos);
	if (objects.inodes.length > 0) write("memfd.img", "memfd", values(objects.inodes));
	if (ghosts.remaps.length > 0) write("remap-fpath.img", "remap-fpath", values(ghosts.remaps));
	for (const ghost of ghosts.files) images.set(ghostName(ghost), ghostImage(ghost));
	const beside = sideRecord(lost === undefined ? task : { ...task, losses: lossesIn([...lost, ...findings]) });
	if (beside !== undefined) write(SIDE_RECORD, "necromancer", values([beside]));
	// without it CRIU restores the process to the clocks of the host
	if (task.clocks !== undefined) write("timens-0.img", "timens", values([timensEntry(task.clocks)]));

	const plan: PagesPlan = {
		...{ pages: `pages-${TASK_PAGES}.img`, pagemap: `pagemap-${pid}.img`, pagesId: TASK_PAGES },
		...{ kind: "task", runs: pages ? pageRuns(memory) : [] },
	};
	const plans = [plan, ...objects.pages];
	if (!pages)
		for (const { pages: file, pagemap, pagesId } of plans) {
			images.set(pagemap, emptyPagemap(pagesId));
			images.set(file, []);
		}
	return { draft: { copies: new Map(), images, pages: pages ? plans : [] }, findings };
}

const TASK_PAGES = 1;

/** Images name the parent only of those whose parent is in the images too. */
const lossesIn = (findings: readonly Finding[]): LossAtDump[] =>
	findings.flatMap(({ weight, subject, text }) => (weight === "loss" ? [{ subject, text }] : []));

const pstreeEntry = ({ identity: { pid, pgid, sid }, threads }: Task): PstreeEntry => ({
	...{ pid, ppid: 0, pgid, sid },
	threads: threads.map(({ tid }) => tid),
});

/** A pagemap without entries, which writePages refuses for a task: nobody could restore it. */
const emptyPagemap = (pagesId: number) =>
	encodeImage({ kind: imageKinds.pagemap, head: { pages_id: pagesId }, records: [] });
