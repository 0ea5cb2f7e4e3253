import { isDeepStrictEqual } from "node:util";
import { defined } from "../bytes/defined.ts";
import type { Extent } from "../bytes/extent.ts";
import type { FileWriters } from "../bytes/source.ts";
import { encodeImage, type Image, type ImageRecord } from "../criu/image.ts";
import type { ImageDir } from "../criu/image-dir.ts";
import { imageKinds, type KindName, type RecordOf } from "../criu/kinds.ts";
import type { PagesPlan } from "../criu/pages/pages.ts";
import type { NewImages } from "../criu/store/new-images.ts";
import type { FdinfoEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { type SoftLimits, withSoftLimits } from "../forest/soft-limits.ts";
import type { Task } from "../forest/task.ts";
import { timensName } from "../images/read/clocks.ts";
import { taskFromImages } from "../images/read/from-images.ts";
import { leaderCore, threadCore } from "../images/write/cores.ts";
import { mmEntry } from "../images/write/mm.ts";
import { noSessionLeader, reportLostRegisters } from "../images/write/representable.ts";
import { patchedSideRecord, SIDE_RECORD } from "../images/write/side-record.ts";
import { NO_LIMIT } from "../linux/resource.ts";
import { S_IFREG } from "../linux/stat.ts";
import { evidenceIn } from "../understand/evidence/evidence.ts";
import { type UnderstandOptions, understand } from "../understand/understand.ts";
import { type HostFiles, inspectBinaries, judgedHost } from "./binaries.ts";
import { patchTimens } from "./clocks.ts";
import { withCurrentEnds } from "./current-ends.ts";
import { fileTable } from "./files.ts";
import { patchPstree, requireFreeIds } from "./identity.ts";
import { patchedRuns } from "./memory.ts";
import { nameTable } from "./name-table.ts";
import { objectImages } from "./objects.ts";
import { openRecords } from "./open-records.ts";

export interface PatchOptions extends Pick<UnderstandOptions, "allowMismatch"> {
	/** Which process of the donor to replace, where it holds several. */
	readonly donorPid?: number;
	readonly host: HostFiles;
	/** Soft limits that it gets; without one of its own RLIMIT_CORE is 0. */
	readonly softLimits?: SoftLimits;
	/**
	 * Checks the task before it is written, and returns the users who determine the images besides the writer; the donor's when
	 * absent.
	 */
	readonly writers?: (task: Task, donor: Task) => readonly FileWriters[];
	/** Evidence of the process's clocks besides core and donor. */
	readonly clock?: NonNullable<UnderstandOptions["clocks"]>;
	/** When the core was written, nanoseconds since 1970: a file that changed later is not what was mapped. */
	readonly writtenAt?: bigint;
}

export interface Patched {
	/** The process that the new images describe. */
	readonly task: Task;
	readonly draft: NewImages;
	readonly findings: readonly Finding[];
}

/**
 * The donor's image directory, rewritten to describe the dead process. Nothing is written: the result is the directory as
 * a value, whose page contents are references into the core.
 *
 * @throws NecromancerError where donor and core do not fit, or the images are damaged.
 */
export function patch(dead: PartialTask, donor: ImageDir, options: PatchOptions): Patched {
	const donorTask = taskFromImages(donor, options.donorPid);
	if (dead.leaderEnded === true)
		refuse("ERR_UNSUPPORTED", {
			subject: `process ${dead.pid}`,
			finding: "had gone on although its first thread had ended",
			expectation: "which CRIU's images have no place for",
			remedy: "raise it from its core: necromancer raise CORE -i IMGDIR",
		});
	const judged = judgedHost(dead, donorTask.memory.files, options.host);
	const {
		task: completed,
		donorThreads,
		findings: understood,
	} = understand(dead, evidenceIn(dead, judged.open), donorTask, {
		ownerOf: (path) => options.host.ownerOf?.(path),
		modeOf: (path) => (options.host.sizeOf?.(path) === undefined ? undefined : S_IFREG),
		clocks: options.clock ?? {},
		...defined({ allowMismatch: options.allowMismatch }),
	});
	const findings: Finding[] = [...understood];
	const report = (finding: Finding): void => void findings.push(finding);
	const writers = options.writers?.(completed, donorTask);
	const limited = withSoftLimits(completed, options.softLimits ?? new Map(), () => NO_LIMIT, report);
	const task = { ...limited, files: withCurrentEnds(limited.files, options.host, report) };
	const donorPid = donorTask.identity.pid;
	const { pid, sid } = task.identity;
	if (sid !== pid) report(noSessionLeader(sid));

	const names = nameTable(donor);
	const images = new Map<string, readonly (Uint8Array | Extent)[]>();
	const write = <K extends KindName>(name: string, from: string, kind: K, edit: Edit<K>): void => {
		const image = donor.image(from, kind);
		names.drop(from);
		images.set(name, encodeImage({ ...image, records: edit(image.records) }));
	};
	const one =
		<K extends KindName>(edit: (value: RecordOf<K>) => RecordOf<K>): Edit<K> =>
		(records) =>
			records.slice(0, 1).map((record) => ({ ...record, value: edit(record.value) }));

	const pstree = donor.image("pstree.img", "pstree").records.map(({ value }) => value);
	requireFreeIds(task, donorPid, pstree, dead.name);
	const mmDonor = donor.one(`mm-${donorPid}.img`, "mm");
	const others = pstree.filter((entry) => entry.pid !== donorPid && donor.has(`mm-${entry.pid}.img`));
	const descriptors = donor.names
		.filter((name) => /^fdinfo-\d+\.img$/.test(name))
		.flatMap((name) => descriptorsIn(donor, name));
	const table = `fdinfo-${donor.one(`ids-${donorPid}.img`, "ids").files_id}.img`;
	reportQueuedData(donor, report);
	if (donor.parent !== undefined)
		report(
			caution(
				"incremental-donor",
				donor.path,
				`continues from ${donor.parent}; the dead process's pages need nothing of it`,
			),
		);

	// images of the donor's process alone
	const oldPagemap = `pagemap-${donorPid}.img`;
	const pagesId = donor.image(oldPagemap, "pagemap").head?.pages_id ?? names.fresh((n) => `pages-${n}.img`);
	const cores = new Map(donorTask.threads.map(({ tid }) => [tid, donor.one(`core-${tid}.img`, "core")]));
	for (const { tid } of donorTask.threads) names.drop(`core-${tid}.img`);
	names.drop(oldPagemap);
	names.replace(`pages-${pagesId}.img`);

	const binaries = inspectBinaries(task.memory, judged, report, options.writtenAt);
	const open = openRecords(
		{
			entries: donor.image("files.img", "files").records.map(({ value }) => value),
			table: descriptorsIn(donor, table),
		},
		{
			...{ before: donorTask.files, after: task.files, report },
			credentials: task.threads[0]?.credentials ?? { uid: 0, euid: 0 },
		},
	);
	const files = fileTable(open.entries, mmDonor, binaries);
	const objects = objectImages(
		task,
		{
			inodes: donor.has("memfd.img") ? donor.image("memfd.img", "memfd").records.map(({ value }) => value) : [],
			mm: mmDonor,
			descriptors,
			otherMms: others.map((entry) => donor.one(`mm-${entry.pid}.img`, "mm")),
			pagesOf: (shmid) => pagesFileOf(donor, `pagemap-shmem-${shmid}.img`),
		},
		files,
		names,
	);

	write("pstree.img", "pstree.img", "pstree", (records) =>
		patchPstree(task, donorPid, pstree).map((value, i) => ({ ...records[i], value })),
	);
	const leaderImage = donor.image(`core-${donorPid}.img`, "core");
	for (const [i, thread] of task.threads.entries()) {
		const base = cores.get(donorThreads.get(thread.tid) ?? donorPid);
		if (base === undefined) throw new Error(`no donor record for thread ${thread.tid}`);
		reportLostRegisters(thread, report);
		const value = i === 0 ? leaderCore(task, thread, base) : threadCore(thread, base);
		images.set(`core-${thread.tid}.img`, encodeImage({ ...leaderImage, records: [{ value }] }));
	}
	write(
		`mm-${pid}.img`,
		`mm-${donorPid}.img`,
		"mm",
		one((mm) => mmEntry(task.memory, mm, { file: files.mapped, object: objects.imageOf }, report)),
	);
	write("files.img", "files.img", "files", (records) => files.entries.map((value, i) => ({ ...records[i], value })));
	if (donor.has(table) && !isDeepStrictEqual(open.table, descriptorsIn(donor, table)))
		write(table, table, "fdinfo", () => open.table.map((value) => ({ value })));
	for (const kind of ["fs", "ids"]) {
		const from = `${kind}-${donorPid}.img`;
		if (!names.kept.delete(from)) continue;
		names.kept.set(`${kind}-${pid}.img`, from);
	}
	if (objects.inodes.length > 0) {
		const image = donor.has("memfd.img") ? donor.image("memfd.img", "memfd") : noImage("memfd");
		images.set("memfd.img", encodeImage({ ...image, records: objects.inodes.map((value) => ({ value })) }));
	}
	names.drop("memfd.img");
	const timens = timensName(donor);
	const { clocks } = task;
	if (timens !== undefined && clocks === undefined) names.drop(timens);
	if (timens !== undefined && clocks !== undefined && clocks.witness !== "donor")
		write(
			timens,
			timens,
			"timens",
			one((entry) => patchTimens(entry, clocks)),
		);
	if (donor.has(SIDE_RECORD) || (writers !== undefined && writers.length > 0)) {
		const image = donor.has(SIDE_RECORD) ? donor.image(SIDE_RECORD, "necromancer") : noImage("necromancer");
		const value = patchedSideRecord(image.records[0]?.value, {
			...{ donorPid, task, sameUser: isSameUser(task, donorTask) },
			...defined({ writers }),
		});
		names.drop(SIDE_RECORD);
		images.set(SIDE_RECORD, encodeImage({ ...image, records: [{ value }] }));
	}
	const plan: PagesPlan = {
		pages: `pages-${pagesId}.img`,
		pagemap: `pagemap-${pid}.img`,
		kind: "task",
		pagesId,
		runs: patchedRuns(task.memory, binaries),
	};
	return { task, findings, draft: { copies: names.kept, images, pages: [plan, ...objects.pages] } };
}

/** Whether a process has the ids that its donor had. */
const isSameUser = ({ threads: [own] }: Task, { threads: [lent] }: Task): boolean =>
	own?.credentials.uid === lent?.credentials.uid && own?.credentials.gid === lent?.credentials.gid;

type Edit<K extends KindName> = (records: readonly ImageRecord<RecordOf<K>>[]) => readonly ImageRecord<RecordOf<K>>[];

const noImage = <K extends KindName>(kind: K): Image<RecordOf<K>> => ({ kind: imageKinds[kind], records: [] });

const descriptorsIn = (donor: ImageDir, table: string): FdinfoEntry[] =>
	donor.has(table) ? donor.image(table, "fdinfo").records.map(({ value }) => value) : [];

const pagesFileOf = (donor: ImageDir, pagemap: string): string | undefined => {
	const head = donor.has(pagemap) ? donor.image(pagemap, "pagemap").head : undefined;
	return head === undefined ? undefined : `pages-${head.pages_id}.img`;
};

/** Reports data queued in the donor's pipes and sockets: it was never sent to the dead process. */
function reportQueuedData(donor: ImageDir, report: (finding: Finding) => void): void {
	for (const kind of ["pipes-data", "fifo-data"] as const) {
		if (!donor.has(`${kind}.img`)) continue;
		for (const { value } of donor.image(`${kind}.img`, kind).records)
			if (value.bytes > 0)
				report(caution("queued-data", `pipe ${value.pipe_id}`, `holds ${value.bytes} bytes of the donor's`));
	}
	if (donor.has("sk-queues.img"))
		for (const { value } of donor.image("sk-queues.img", "sk-queues").records)
			report(
				caution("queued-data", `socket file ${value.id_for}`, `holds a packet of ${value.length} bytes of the donor's`),
			);
}
