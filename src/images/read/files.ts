import { defined } from "../../bytes/defined.ts";
import { extent } from "../../bytes/extent.ts";
import { fromBuffer } from "../../bytes/source.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import type { FileEntry } from "../../criu/wire/generated/schema.ts";
import type { EntryImages } from "../../descriptors/entries.ts";
import type { Description } from "../../descriptors/kinds.ts";
import { kindOfType } from "../../descriptors/kinds.ts";
import { type Pipe, queueImages } from "../../descriptors/pipe-queue.ts";
import { terminalsIn } from "../../descriptors/tty-images.ts";
import type { UnixMessage } from "../../descriptors/unix-description.ts";
import { refuse } from "../../errors.ts";
import type { Descriptor, Files } from "../../forest/files.ts";
import { atMost, mostDescriptors } from "../../linux/process-bounds.ts";
import type { ImageGhosts } from "./ghosts.ts";
import type { ImageIpc } from "./ipc.ts";
import { locksFrom } from "./locks.ts";
import type { ImageObjects } from "./objects.ts";
import type { SideRecord } from "./side-record.ts";

/** All file entries of a directory, by id. Ids are unique across types. */
export function fileEntries(dir: ImageDir): ReadonlyMap<number, FileEntry> {
	const { records } = dir.image("files.img", "files");
	const known = tables.get(records) ?? new Map(records.map(({ value }) => [value.id, value]));
	tables.set(records, known);
	return known;
}

/** A tree of thousands has one table for all. */
const tables = new WeakMap<object, ReadonlyMap<number, FileEntry>>();

/** What all processes of a directory have in common, and what descriptors and mappings have: they may show the same. */
export interface SharedTables {
	readonly objects: ImageObjects;
	readonly ghosts: ImageGhosts;
	readonly ipc: ImageIpc;
	/** Descriptor tables that were read, by files_id. */
	readonly tables: Map<number, readonly Descriptor[]>;
	/** Descriptions that were, by the id of their file entry: one value each, whoever has it. */
	readonly descriptions: Map<number, Description>;
	/** Tables that several processes have, by files_id. */
	readonly common: ReadonlySet<number>;
	/** Their ids. */
	readonly together: ReadonlySet<number>;
	/** What waits in pipes. */
	readonly queues: () => EntryImages["queues"];
	readonly terminals: EntryImages["terminals"];
	/** What waits in sockets. */
	readonly packets: () => EntryImages["packets"];
}

/** The same for one process. */
export interface ProcessTables extends SharedTables {
	readonly beside: SideRecord;
}

/** The kernel holds them in an int. */
const LARGEST_DESCRIPTOR = 0x7fff_ffff;

/**
 * The descriptors, directories and umask of one process; the memory that memfds among them show is in `objects`.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT when a descriptor is there twice, or its file is not or is another's.
 */
export function filesFromImages(dir: ImageDir, pid: number, shared: ProcessTables): Files {
	const { tables: known, common, beside, ghosts } = shared;
	const entries = fileEntries(dir);
	const { files_id: id } = dir.one(`ids-${pid}.img`, "ids");
	const fs = dir.one(`fs-${pid}.img`, "fs");
	const descriptors = known.get(id) ?? tableFrom(dir, id, pid, shared);
	known.set(id, descriptors);
	const cwd = entries.get(fs.cwd_id)?.reg?.name;
	const root = entries.get(fs.root_id)?.reg?.name;
	const locks = locksFrom(dir, pid, descriptors);
	return {
		descriptors,
		...(locks.length === 0 ? {} : { locks }),
		...(common.has(id) ? { table: id } : {}),
		...defined({ cwd, root, umask: fs.umask }),
		...defined({ cwdGhost: ghosts.directory(fs.cwd_id)?.id, rootGhost: ghosts.directory(fs.root_id)?.id }),
		...(beside.identities.size === 0 ? {} : { identities: beside.identities }),
	};
}

/** A descriptor table. What it names is made once, whoever asks. */
function tableFrom(
	dir: ImageDir,
	filesId: number,
	pid: number,
	{ objects, ghosts, beside, descriptions, together, queues, terminals, packets }: ProcessTables,
): readonly Descriptor[] {
	const entries = fileEntries(dir);
	const table = `fdinfo-${filesId}.img`;
	const records = dir.has(table) ? dir.image(table, "fdinfo").records : [];
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject: `${dir.path}/${table}`, finding, expectation });
	const images: EntryImages = {
		subject: `${dir.path}/files.img`,
		...{ pid, together },
		namespace: (name) => dir.one(`ids-${pid}.img`, "ids")[`${name}_ns_id`],
		entries,
		objects,
		queues: queues(),
		packets: packets(),
		ghosts,
		beside,
		terminals,
	};
	const most = mostDescriptors(dir.size);
	if (records.length > most) corrupt(`has ${records.length} descriptors`, atMost(most, dir.size));
	const descriptors = new Map<number, Descriptor>();
	for (const { value } of records) {
		const { fd: number, id, type, flags } = value;
		const entry = entries.get(id);
		if (entry === undefined) return corrupt(`descriptor ${number} names file ${id}`, "which files.img does not hold");
		if (entry.type !== type)
			corrupt(`descriptor ${number} names file ${id} of type ${type}`, `which files.img holds as type ${entry.type}`);
		if (number > LARGEST_DESCRIPTOR) corrupt(`descriptor ${number} is out of range`, "expected a positive int");
		if (descriptors.has(number)) corrupt(`descriptor ${number} is there twice`, "expected it once");
		// what tells descriptions apart is the entry's id, whatever the part of it says
		const description = descriptions.get(id) ?? { ...kindOfType(type).images.from(entry, images), id };
		descriptions.set(id, description);
		descriptors.set(number, { number, closeOnExec: (flags & 1) !== 0, description });
	}
	return [...descriptors.values()].sort((a, b) => a.number - b.number);
}

/** What pipes hold and may hold, by kind of image and pipe id: a pipe and a FIFO may have the same. */
export function queuesIn(dir: ImageDir): EntryImages["queues"] {
	const queues = { "pipes-data": new Map<number, Queue>(), "fifo-data": new Map<number, Queue>() };
	for (const kind of queueImages) {
		if (!dir.has(`${kind}.img`)) continue;
		for (const { value, extra } of dir.image(`${kind}.img`, kind).records) {
			if (queues[kind].has(value.pipe_id))
				refuse("ERR_IMAGE_CORRUPT", {
					subject: `${dir.path}/${kind}.img`,
					finding: `pipe ${value.pipe_id} is there twice`,
					expectation: "expected it once",
				});
			queues[kind].set(value.pipe_id, {
				...defined({ capacity: value.size, content: extra }),
			});
		}
	}
	return queues;
}

type Queue = Omit<Pipe, "id">;

/** @throws NecromancerError ERR_IMAGE_CORRUPT for an info that is there twice. */
export function terminalsOf(dir: ImageDir): ReturnType<EntryImages["terminals"]> {
	const name = "tty-info.img";
	if (!dir.has(name)) return new Map();
	const infos = dir.image(name, "tty-info").records.map(({ value }) => value);
	const ids = new Set<number>();
	for (const { id } of infos) {
		if (ids.has(id))
			refuse("ERR_IMAGE_CORRUPT", {
				subject: `${dir.path}/${name}`,
				finding: `has terminal ${id} twice`,
				expectation: "expected it once",
			});
		ids.add(id);
	}
	const data = dir.has("tty-data.img") ? dir.image("tty-data.img", "tty-data").records.map(({ value }) => value) : [];
	const entries = fileEntries(dir);
	const modes = new Map<number, number>();
	for (const { tty } of entries.values()) {
		const mode = tty && entries.get(tty.regf_id ?? 0)?.reg?.mode;
		if (tty !== undefined && mode !== undefined) modes.set(tty.tty_info_id, mode);
	}
	return terminalsIn(infos, data, modes);
}
/** What waits in sockets, by the ids of their file entries. */
export function packetsIn(dir: ImageDir): EntryImages["packets"] {
	const found = new Map<number, UnixMessage[]>();
	if (!dir.has("sk-queues.img")) return found;
	for (const { value, extra } of dir.image("sk-queues.img", "sk-queues").records) {
		const rights = value.scm.flatMap(({ rights }) => rights);
		const messages = found.get(value.id_for) ?? [];
		messages.push({ content: extra ?? NOTHING, ...(rights.length === 0 ? {} : { rights }) });
		found.set(value.id_for, messages);
	}
	return found;
}

const NOTHING = extent(fromBuffer("an empty message", Buffer.alloc(0)), 0n, 0n);
