import { buildIdText, buildIdWords, sameBuildId } from "../criu/build-id.ts";
import { VMA } from "../criu/vma.ts";
import {
	type FdinfoEntry,
	FdTypes,
	type FileEntry,
	type MmEntry,
	type RegFileEntry,
} from "../criu/wire/generated/schema.ts";
import { NO_OWNER } from "../descriptors/entries.ts";
import { isOther } from "../forest/verdict.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { Binary } from "./binaries.ts";

/** Builds files.img: the donor's entries, edited, then new ones. */
export interface FileTable {
	readonly entries: readonly FileEntry[];
	/** The entry that a mapping of `path` (or the executable) names; made when the donor mapped no such file. */
	mapped(path: string): number;
	/** Adds an entry under the next free id. */
	add(make: (id: number) => FileEntry): number;
	remove(id: number): void;
}

export function fileTable(
	donor: readonly FileEntry[],
	mm: MmEntry,
	descriptors: readonly FdinfoEntry[],
	binaries: ReadonlyMap<string, Binary>,
): FileTable {
	const entries = withoutSizes(donor, descriptors).map((entry) => withBuildId(entry, binaries));
	const removed = new Set<number>();
	let last = donor.reduce((max, { id }) => Math.max(max, id), 0);
	const ids = new Map<string, number>();
	const used = new Set([
		mm.exe_file_id,
		...mm.vmas
			.filter(({ status }) => (status & (VMA.FILE_PRIVATE | VMA.FILE_SHARED)) !== 0)
			.map(({ shmid }) => Number(shmid)),
	]);
	for (const { id, reg } of donor) if (reg !== undefined && used.has(id) && !ids.has(reg.name)) ids.set(reg.name, id);
	const table: FileTable = {
		get entries() {
			return entries.filter(({ id }) => !removed.has(id));
		},
		mapped: (path) => {
			const known = ids.get(path);
			if (known !== undefined) return known;
			const id = table.add((fresh) => ({
				type: FdTypes.REG,
				id: fresh,
				reg: regular(fresh, path, binaries.get(path)),
			}));
			ids.set(path, id);
			return id;
		},
		add: (make) => {
			last++;
			entries.push(make(last));
			return last;
		},
		remove: (id) => void removed.add(id),
	};
	return table;
}

/** A file the donor had not mapped. What this host's file says is recorded only if it is not known to be another one. */
function regular(id: number, path: string, binary: Binary | undefined): RegFileEntry {
	const here = binary === undefined || isOther(binary.verdict) ? undefined : binary.here;
	const buildId = binary?.expected.buildId;
	return {
		id,
		flags: O.RDONLY,
		pos: 0n,
		fown: NO_OWNER,
		name: path,
		...(here === undefined ? {} : { size: here.source.size, mode: here.mode }),
		build_id: buildId === undefined ? [] : buildIdWords(buildId),
	};
}

/**
 * Files the process had open for writing may have grown since the donor was dumped, and CRIU refuses a file whose size is
 * not the recorded one; so for those none is recorded.
 */
function withoutSizes(entries: readonly FileEntry[], descriptors: readonly FdinfoEntry[]): FileEntry[] {
	const open = new Set(descriptors.map(({ id }) => id));
	const written = new Set(
		entries.flatMap(({ id, reg }) =>
			reg !== undefined && open.has(id) && (reg.flags & O_ACCMODE) !== O.RDONLY ? [reg.name] : [],
		),
	);
	return entries.map((entry) => {
		if (entry.reg === undefined || !open.has(entry.id) || !written.has(entry.reg.name)) return entry;
		const { size: _size, ...reg } = entry.reg;
		return { ...entry, reg };
	});
}

/** With --allow-mismatch the donor's entry may name another build; the dead process's is what a restore has to find. */
function withBuildId(entry: FileEntry, binaries: ReadonlyMap<string, Binary>): FileEntry {
	const { reg } = entry;
	const expected = reg && binaries.get(reg.name)?.expected.buildId;
	if (reg === undefined || expected === undefined || reg.build_id.length === 0) return entry;
	if (sameBuildId(buildIdText(reg.build_id), expected)) return entry;
	const { size: _size, ...rest } = reg;
	return { ...entry, reg: { ...rest, build_id: buildIdWords(expected) } };
}
