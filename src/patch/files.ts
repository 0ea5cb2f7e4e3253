import { defined } from "../bytes/defined.ts";
import { buildIdText, buildIdWords, sameBuildId } from "../criu/build-id.ts";
import { VMA } from "../criu/vma.ts";
import type { FileEntry, MmEntry } from "../criu/wire/generated/schema.ts";
import { regularFile } from "../descriptors/file.ts";
import type { MappedFile } from "../descriptors/mapped-file.ts";
import { isOther } from "../forest/verdict.ts";
import type { Binary } from "./binaries.ts";
import { freshIds } from "./fresh-ids.ts";

/** Builds files.img: the donor's entries, edited, then new ones. */
export interface FileTable {
	readonly entries: readonly FileEntry[];
	/** The entry that a mapping of `path` (or the executable) names; made when the donor mapped no such file. */
	mapped(path: string): number;
	/** Adds an entry under the next free id. */
	add(make: (id: number) => FileEntry): number;
	remove(id: number): void;
}

/** @param mms Of the processes whose files these become. */
export function fileTable(
	donor: readonly FileEntry[],
	mms: readonly MmEntry[],
	binaries: ReadonlyMap<string, Binary>,
): FileTable {
	const entries = donor.map((entry) => withBuildId(entry, binaries));
	const removed = new Set<number>();
	const fresh = freshIds(donor.map(({ id }) => id));
	const ids = new Map<string, number>();
	const used = new Set(
		mms.flatMap((mm) => [
			mm.exe_file_id,
			...mm.vmas
				.filter(({ status }) => (status & (VMA.FILE_PRIVATE | VMA.FILE_SHARED)) !== 0)
				.map(({ shmid }) => Number(shmid)),
		]),
	);
	for (const { id, reg } of donor) if (reg !== undefined && used.has(id) && !ids.has(reg.name)) ids.set(reg.name, id);
	const table: FileTable = {
		get entries() {
			return entries.filter(({ id }) => !removed.has(id));
		},
		mapped: (path) => {
			const known = ids.get(path);
			if (known !== undefined) return known;
			const id = table.add((fresh) => regularFile(fresh, looksOf(path, binaries.get(path))));
			ids.set(path, id);
			return id;
		},
		add: (make) => {
			const id = fresh();
			entries.push(make(id));
			return id;
		},
		remove: (id) => void removed.add(id),
	};
	return table;
}

/** Of a file that the donor had not mapped, what this host's says is recorded only if it is not known to be another one. */
function looksOf(path: string, binary: Binary | undefined): MappedFile {
	const here = binary === undefined || isOther(binary.verdict) ? undefined : binary.here;
	return { path, ...defined({ size: here?.source.size, mode: here?.mode, buildId: binary?.expected.buildId }) };
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
