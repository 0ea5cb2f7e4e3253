import { fileOffset } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import type { Extent } from "../bytes/extent.ts";
import { encodeImage, type Image, type ImageRecord } from "../criu/image.ts";
import type { ImageDir } from "../criu/image-dir.ts";
import { imageKinds, type KindName, type RecordOf } from "../criu/kinds.ts";
import type { PagesPlan } from "../criu/pages/pages.ts";
import type { NewImages } from "../criu/store/new-images.ts";
import type { FileLockEntry } from "../criu/wire/generated/schema.ts";
import { caution, type Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Task } from "../forest/task.ts";
import { timensName } from "../images/read/clocks.ts";
import { contentsFrom } from "../images/read/contents.ts";
import { treeOf } from "../images/read/tree.ts";
import { mmEntry } from "../images/write/mm.ts";
import { noSessionLeader } from "../images/write/representable.ts";
import { patchedSideRecord, SIDE_RECORD } from "../images/write/side-record.ts";
import { type Binary, inspectBinaries } from "./binaries.ts";
import { clocksOfTree, patchTimens } from "./clocks.ts";
import { patchedDescriptors } from "./descriptor-tables.ts";
import { memfdsOpenIn } from "./donor-descriptors.ts";
import { donorProcesses } from "./donor-processes.ts";
import { fileTable } from "./files.ts";
import { identityAmong, patchPstree, requireFreeIds } from "./identity.ts";
import { patchedRuns } from "./memory.ts";
import { type NameTable, nameTable } from "./name-table.ts";
import { objectImages } from "./objects.ts";
import { reportOthers, reportQueuedData, withSizesOfNow } from "./others.ts";
import { threadImages } from "./thread-images.ts";
import { type DeadProcess, type TreeOptions, type UnderstoodDead, understoodDead } from "./understood.ts";

export interface PatchOptions extends TreeOptions, Omit<DeadProcess, "dead"> {}

/** What a donor's images become. */
export interface PatchedTree {
	/** The processes of the cores, in their order, as the new images describe them. */
	readonly tasks: readonly Task[];
	readonly draft: NewImages;
	readonly findings: readonly Finding[];
}

/** The same of one core. */
export interface Patched extends Omit<PatchedTree, "tasks"> {
	readonly task: Task;
}

/**
 * The donor's image directory, rewritten to describe the dead process. Nothing is written: the result is the directory as
 * a value, whose page contents are references into the core.
 *
 * @throws NecromancerError where donor and core do not fit, or the images are damaged.
 */
export function patch(dead: PartialTask, donor: ImageDir, options: PatchOptions): Patched {
	const { tasks, ...patched } = patchTree([{ ...options, dead }], donor, options);
	const [task] = tasks;
	if (task === undefined) throw new RangeError("no core");
	return { ...patched, task };
}

/**
 * The same for several that died: each core takes the place of its own process of the donor, and the others of it stay.
 *
 * @throws NecromancerError also where it is not clear whose place a core takes.
 */
export function patchTree(cores: readonly DeadProcess[], donor: ImageDir, options: TreeOptions): PatchedTree {
	const findings: Finding[] = [];
	const report = (finding: Finding): void => void findings.push(finding);
	const pstree = treeOf(donor);
	const lenders = donorProcesses(
		donor,
		cores.map(({ dead, donorPid }) => ({ task: dead, ...defined({ donorPid }) })),
	);
	const understood = lenders.flatMap((lender, i) => {
		const core = cores[i];
		return core === undefined ? [] : [understoodDead(core, lender, options, report)];
	});
	const deads = understood.map((one) => {
		const identity = identityAmong(one, one.core.dead, understood, pstree, report);
		return { ...one, task: { ...one.task, identity } };
	});
	requireFreeIds(deads, pstree, (index) => deads[index]?.core.dead.name ?? "core");
	const tree = patchPstree(deads, pstree);
	const [root] = tree;
	if (root !== undefined && root.sid !== root.pid) report(noSessionLeader(root.sid));
	reportOthers(donor, deads, report);
	reportQueuedData(donor, report);
	if (donor.parent !== undefined)
		report(
			caution(
				"incremental-donor",
				donor.path,
				`continues from ${donor.parent}; the dead process's pages need nothing of it`,
			),
		);

	const names = nameTable(donor);
	const images = new Map<string, readonly (Uint8Array | Extent)[]>();
	const write = <K extends KindName>(name: string, from: string, kind: K, edit: Edit<K>): void => {
		const image = donor.image(from, kind);
		images.set(name, encodeImage({ ...image, records: edit(image.records) }));
	};
	const one =
		<K extends KindName>(edit: (value: RecordOf<K>) => RecordOf<K>): Edit<K> =>
		(records) =>
			records.slice(0, 1).map((record) => ({ ...record, value: edit(record.value) }));

	const donorMms = new Map(
		pstree.flatMap(({ pid }) => (donor.has(`mm-${pid}.img`) ? [[pid, donor.one(`mm-${pid}.img`, "mm")]] : [])),
	);
	const mmOf = ({ donorPid }: UnderstoodDead) => donorMms.get(donorPid) ?? donor.one(`mm-${donorPid}.img`, "mm");
	const pagesIds = freePages(donor, deads, names);

	const binariesOf = new Map(
		deads.map((dead) => [dead, inspectBinaries(dead.task.memory, dead.judged, report, dead.core.writtenAt)]),
	);
	const open = patchedDescriptors(donor, deads, report);
	const binaries = new Map<string, Binary>([...binariesOf.values()].flatMap((some) => [...some]));
	const entries = withSizesOfNow(open.entries, donor, deads, options.host, report);
	const files = fileTable(entries, deads.map(mmOf), binaries);
	const objects = objectImages(
		deads.map((dead) => ({
			...{ name: dead.core.dead.name, task: dead.task, donor: dead.donor, mm: mmOf(dead), lent: dead.donorObjects },
			...defined({ writtenAt: dead.core.writtenAt }),
		})),
		{
			inodes: donor.has("memfd.img") ? donor.image("memfd.img", "memfd").records.map(({ value }) => value) : [],
			processes: [...donorMms].map(([pid, mm]) => ({ pid, mm, memfds: memfdsOpenIn(donor, pid) })),
			pagesOf: (shmid) => pagesFileOf(donor, `pagemap-shmem-${shmid}.img`),
			contentsOf: (shmid) => contentsFrom(donor, `pagemap-shmem-${shmid}.img`, fileOffset),
		},
		files,
		names,
		report,
	);

	// under the new names: one core's may be that of another process of the donor
	const written = deads.map((dead) => threadImages(donor, dead, report));
	for (const { donorPid, donor: lender } of deads)
		for (const name of [...lender.threads.map(({ tid }) => `core-${tid}.img`), `mm-${donorPid}.img`]) names.drop(name);
	for (const cores of written) for (const [name, image] of cores) images.set(name, image);
	for (const dead of deads) {
		const { memory, identity } = dead.task;
		const shown = { file: files.mapped, object: (id: number) => objects.imageOf(dead.task, id) };
		write(
			`mm-${identity.pid}.img`,
			`mm-${dead.donorPid}.img`,
			"mm",
			one((mm) => mmEntry(memory, mm, shown, report)),
		);
	}
	for (const [name, from] of renamedImages(deads, names)) names.kept.set(name, from);
	names.drop("pstree.img");
	write("pstree.img", "pstree.img", "pstree", (records) => tree.map((value, i) => ({ ...records[i], value })));
	names.drop("files.img");
	write("files.img", "files.img", "files", (records) => files.entries.map((value, i) => ({ ...records[i], value })));
	for (const [table, rows] of open.tables) {
		names.drop(table);
		write(table, table, "fdinfo", () => rows.map((value) => ({ value })));
	}
	const moved = new Map(deads.map(({ donorPid, task }) => [donorPid, task.identity.pid]));
	if (donor.has("filelocks.img") && [...moved].some(([from, to]) => from !== to)) {
		names.drop("filelocks.img");
		write("filelocks.img", "filelocks.img", "filelocks", (records) =>
			records.map((record) => ({ ...record, value: withHolder(record.value, moved) })),
		);
	}
	if (objects.inodes.length > 0) {
		const image = donor.has("memfd.img") ? donor.image("memfd.img", "memfd") : noImage("memfd");
		images.set("memfd.img", encodeImage({ ...image, records: objects.inodes.map((value) => ({ value })) }));
	}
	names.drop("memfd.img");
	const timens = timensName(donor);
	const clocks =
		timens === undefined ? undefined : clocksOfTree(deads, donor.one(timens, "timens"), pstree.length, report);
	if (timens !== undefined && clocks === undefined) names.drop(timens);
	if (timens !== undefined && clocks !== undefined && clocks !== "donor") {
		names.drop(timens);
		write(
			timens,
			timens,
			"timens",
			one((entry) => patchTimens(entry, clocks)),
		);
	}
	const writers = deads.some((dead) => dead.writers !== undefined)
		? deads.flatMap((dead) => dead.writers ?? [])
		: undefined;
	if (donor.has(SIDE_RECORD) || (writers !== undefined && writers.length > 0)) {
		const image = donor.has(SIDE_RECORD) ? donor.image(SIDE_RECORD, "necromancer") : noImage("necromancer");
		const value = patchedSideRecord(image.records[0]?.value, {
			...{ dead: deads, sameUser: deads.every(isSameUser) },
			...defined({ writers }),
		});
		names.drop(SIDE_RECORD);
		images.set(SIDE_RECORD, encodeImage({ ...image, records: [{ value }] }));
	}
	const pages = deads.map((dead, i): PagesPlan => {
		const { memory, identity } = dead.task;
		const pagesId = pagesIds[i] ?? 0;
		return {
			...{ pages: `pages-${pagesId}.img`, pagemap: `pagemap-${identity.pid}.img`, kind: "task", pagesId },
			runs: patchedRuns(memory, binariesOf.get(dead) ?? new Map()),
		};
	});
	return {
		tasks: deads.map(({ task }) => task),
		findings,
		draft: { copies: names.kept, images, pages: [...pages, ...objects.pages] },
	};
}

/** Leaves the donor's pages of dead processes out; their files' numbers are those of the new ones. */
function freePages(donor: ImageDir, deads: readonly UnderstoodDead[], names: NameTable): readonly number[] {
	return deads.map(({ donorPid }) => {
		const pagemap = `pagemap-${donorPid}.img`;
		const id = donor.image(pagemap, "pagemap").head?.pages_id ?? names.fresh((n) => `pages-${n}.img`);
		names.drop(pagemap);
		names.replace(`pages-${id}.img`);
		return id;
	});
}

/** Images that stay as they are, under the new ids. */
function renamedImages(deads: readonly UnderstoodDead[], { kept }: NameTable): [name: string, from: string][] {
	return deads.flatMap(({ task, donorPid }) =>
		["fs", "ids"].flatMap((kind): [string, string][] => {
			const from = `${kind}-${donorPid}.img`;
			return kept.delete(from) ? [[`${kind}-${task.identity.pid}.img`, from]] : [];
		}),
	);
}

/** A lock that the donor held, the dead process's. */
const withHolder = (lock: FileLockEntry, moved: ReadonlyMap<number, number>): FileLockEntry => ({
	...{ ...lock, pid: moved.get(lock.pid) ?? lock.pid },
});

/** Whether a process has the ids that its donor had. */
const isSameUser = ({
	task: {
		threads: [own],
	},
	donor: {
		threads: [lent],
	},
}: UnderstoodDead): boolean =>
	own?.credentials.uid === lent?.credentials.uid && own?.credentials.gid === lent?.credentials.gid;

type Edit<K extends KindName> = (records: readonly ImageRecord<RecordOf<K>>[]) => readonly ImageRecord<RecordOf<K>>[];

const noImage = <K extends KindName>(kind: K): Image<RecordOf<K>> => ({ kind: imageKinds[kind], records: [] });

const pagesFileOf = (donor: ImageDir, pagemap: string): string | undefined => {
	const head = donor.has(pagemap) ? donor.image(pagemap, "pagemap").head : undefined;
	return head === undefined ? undefined : `pages-${head.pages_id}.img`;
};
