import { isDeepStrictEqual } from "node:util";
import type { FdinfoEntry, FileEntry } from "../criu/wire/generated/schema.ts";
import { type EntryWriter, fownEntry } from "../descriptors/entries.ts";
import { type Description, kindOf } from "../descriptors/kinds.ts";
import type { Finding } from "../finding.ts";
import { type Descriptor, type Files, withDescriptions } from "../forest/files.ts";
import type { Credentials } from "../forest/task.ts";
import { fdinfoEntry } from "../images/write/files.ts";
import { freshIds, LARGEST_ID } from "./fresh-ids.ts";

/** Of what a process has open: file entries and its table of descriptors. */
export interface OpenRecords {
	readonly entries: readonly FileEntry[];
	readonly table: readonly FdinfoEntry[];
}

export interface OpenPatch {
	/** Of the donor, whose records these are, and of the dead process. */
	readonly before: Files;
	readonly after: Files;
	readonly credentials: Pick<Credentials, "uid" | "euid">;
	readonly report: (finding: Finding) => void;
}

/**
 * The donor's records, as the dead process's files are, by the writers of a dump. What is as the donor had it keeps its record; of
 * what differs, that says what the writer does not know.
 *
 * @throws RangeError where a new description is of a kind that is written with more than an entry.
 */
export function openRecords({ entries, table }: OpenRecords, patch: OpenPatch): OpenRecords {
	const { before, after } = patch;
	const known = new Map(before.descriptors.map(({ description }) => [description.id, description]));
	const records = new Map(entries.map((entry) => [entry.id, entry]));
	const descriptors = withOwnIds(after.descriptors, before.descriptors, entries);
	const numbers = new Set(descriptors.map(({ number }) => number));
	for (const { number, description } of descriptors) {
		const { id } = description;
		const lent = known.get(id);
		const record = records.get(id);
		if (lent !== undefined && isAsBefore(lent, description)) continue;
		known.set(id, description);
		const written = kindOf(description).images.to(description, writerOf(number, numbers, description, patch, records));
		records.set(id, record === undefined ? written : onTopOf(record, written, description));
	}
	const rows = new Map(table.map((row) => [row.fd, row]));
	return {
		entries: [...records.values()],
		table: descriptors.map((descriptor) => {
			const { number, description } = descriptor;
			const row = rows.get(number);
			const written = fdinfoEntry(descriptor, records.get(description.id)?.type ?? 0);
			return row?.id === description.id ? { ...row, ...written } : written;
		}),
	};
}

/**
 * The same with ids that are nobody else's: what is new has one that none of the donor's open files and pipes has, but the images
 * know more files than these (programs, directories, what other processes have open).
 */
function withOwnIds(
	after: readonly Descriptor[],
	before: readonly Descriptor[],
	entries: readonly FileEntry[],
): readonly Descriptor[] {
	const own = descriptionIds(
		entries.map(({ id }) => id),
		before,
		after,
		({ id }) => id,
	);
	const ownPipe = descriptionIds(
		entries.flatMap(({ pipe }) => (pipe === undefined ? [] : [pipe.pipe_id])),
		before,
		after,
		(description) => (description.kind === "pipe" ? description.pipe.id : undefined),
	);
	const lent = new Set(before.map(({ description }) => description.id));
	return withDescriptions({ descriptors: after }, (made) => {
		if (lent.has(made.id)) return made;
		const id = own(made.id);
		return made.kind === "pipe" ? { ...made, id, pipe: { ...made.pipe, id: ownPipe(made.pipe.id) } } : { ...made, id };
	}).descriptors;
}

/** The id that something is to have in the images: its own where it is the donor's thing, or where nobody has that. */
function descriptionIds(
	taken: readonly number[],
	before: readonly Descriptor[],
	after: readonly Descriptor[],
	idOf: (description: Description) => number | undefined,
): (id: number) => number {
	const idsOf = (descriptors: readonly Descriptor[]): Set<number> =>
		new Set(descriptors.flatMap(({ description }) => idOf(description) ?? []));
	const [others, lent] = [new Set(taken), idsOf(before)];
	const fresh = freshIds([...others, ...idsOf(after)]);
	const known = new Map<number, number>();
	return (id) => {
		const own = known.get(id) ?? (lent.has(id) || (!others.has(id) && id <= LARGEST_ID) ? id : fresh());
		known.set(id, own);
		return own;
	};
}

/** Which object is behind a memfd is said in memfd.img, and its number here is none of the images. */
const isAsBefore = (lent: Description, description: Description): boolean =>
	isDeepStrictEqual({ ...lent, object: 0 }, { ...description, object: 0 });

function onTopOf(record: FileEntry, written: FileEntry, description: Description): FileEntry {
	if (record.reg !== undefined && written.reg !== undefined) {
		// an unlinked file's entry has CRIU's name for it
		const name = description.kind === "file" && description.unlinked ? record.reg.name : written.reg.name;
		// CRIU refuses a file whose size is not the recorded one: one that was written to has none
		const { size: _size, ...kept } = record.reg;
		return { ...record, reg: { ...kept, ...written.reg, name, build_id: record.reg.build_id } };
	}
	if (record.epfd !== undefined && written.epfd !== undefined) {
		const known = new Map([...record.epfd.tfd].reverse().map((target) => [target.tfd, target]));
		const tfd = written.epfd.tfd.map((target) => ({ ...known.get(target.tfd), ...target }));
		return { ...record, epfd: { ...record.epfd, ...written.epfd, tfd } };
	}
	return { ...record, ...written };
}

const writerOf = (
	number: number,
	numbers: ReadonlySet<number>,
	{ id, owner }: Description,
	{ credentials, report }: OpenPatch,
	records: Map<number, FileEntry>,
): EntryWriter => ({
	...{ numbers, report, subject: `descriptor ${number}`, owner: fownEntry(owner, credentials) },
	inode: () => BigInt(records.get(id)?.memfd?.inode_id ?? unwritten("memfd")),
	namespace: () => records.get(id)?.nsf?.ns_id ?? unwritten("namespace"),
	terminal: () => records.get(id)?.tty?.tty_info_id ?? unwritten("terminal"),
	// only a FIFO and a terminal have a file entry besides their own, with who is told of it
	add: (make) => {
		const known = records.get(id);
		const file = known?.fifo?.regf_id ?? known?.tty?.regf_id ?? unwritten("FIFO");
		const record = records.get(file);
		const fown = make(file).reg?.fown;
		if (record?.reg !== undefined && fown !== undefined) records.set(file, { ...record, reg: { ...record.reg, fown } });
		return file;
	},
	// the donor's own records say where a file without a name is
	// the donor's own sockets have what waits in them
	packet: () => {},
	lost: () => {},
	lostNode: () => true,
});

const unwritten = (kind: string): never => {
	throw new RangeError(`a new ${kind} for the images of a donor`);
};
