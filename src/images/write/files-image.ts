import { defined } from "../../bytes/defined.ts";
import { buildIdWords } from "../../criu/build-id.ts";
import { FdTypes, type FileEntry, type FownEntry, type RegFileEntry } from "../../criu/wire/generated/schema.ts";
import type { MappedFile } from "../../forest/file-identity.ts";
import type { SignalOwner } from "../../forest/files.ts";
import type { Credentials, Memory } from "../../forest/task.ts";
import { O } from "../../linux/open.ts";
import type { GhostRecords } from "./ghosts.ts";

/** Builds files.img. */
export interface FilesImage {
	readonly entries: readonly FileEntry[];
	/** Adds an entry, under `id` or the lowest that no description has. */
	add(make: (id: number) => FileEntry, id?: number): number;
	/**
	 * The entry that mappings of a file, or the executable, name: by its path and looks or, if it lost that path, by its ghost.
	 *
	 * @param looks what the process knows of the files that it maps.
	 */
	mapped(looks: Memory["files"], path: string, ghost?: number): number;
	readonly ghosts: GhostRecords;
}

/** @param taken ids of descriptions, which keep their own. */
export function filesImage(taken: Pick<ReadonlySet<number>, "has">, ghosts: GhostRecords): FilesImage {
	const entries: FileEntry[] = [];
	const mapped = new Map<string | number, number>();
	let next = 1;
	const add = (make: (id: number) => FileEntry, own?: number): number => {
		while (own === undefined && taken.has(next)) next++;
		const id = own ?? next++;
		entries.push(make(id));
		return id;
	};
	return {
		entries,
		add,
		ghosts,
		mapped: (looks, path, ghost) => {
			// size, mode and build-id by path are those of the file that has the path now, not of the ghost
			const file = (ghost === undefined ? looks.get(path) : undefined) ?? { path };
			const key = ghost ?? JSON.stringify([path, file.size?.toString(), file.mode, file.buildId]);
			const known = mapped.get(key);
			if (known !== undefined) return known;
			const id = add((fresh) => regularFile(fresh, file));
			if (ghost !== undefined) ghosts.lost(id, ghost);
			mapped.set(key, id);
			return id;
		},
	};
}

/** How a file was opened: flags, offset, owner of its signals. */
export interface Opening {
	readonly flags: number;
	readonly position: bigint;
	readonly owner: FownEntry;
}

/** Nobody gets SIGIO: `fown_entry` is required and all zero means unset. */
export const NO_OWNER: FownEntry = { uid: 0, euid: 0, signum: 0, pid_type: 0, pid: 0 };

/** CRIU becomes the user it names to set the owner: the kernel checks later signals against that. */
export const fownEntry = (
	owner: SignalOwner | undefined,
	{ uid, euid }: Pick<Credentials, "uid" | "euid">,
): FownEntry =>
	owner === undefined ? NO_OWNER : { uid, euid, signum: owner.signal, pid_type: owner.type, pid: owner.pid };

const TO_READ: Opening = { flags: O.RDONLY, position: 0n, owner: NO_OWNER };

/** Size, mode and build-id, where known, are what a restore checks. */
export const regularFile = (id: number, file: MappedFile, opening = TO_READ): FileEntry => ({
	type: FdTypes.REG,
	id,
	reg: regEntry(id, file, opening),
});

const regEntry = (id: number, file: MappedFile, { flags, position, owner }: Opening): RegFileEntry => ({
	id,
	flags,
	pos: position,
	fown: owner,
	name: file.path,
	...defined({ size: file.size, mode: file.mode }),
	build_id: file.buildId === undefined ? [] : buildIdWords(file.buildId),
});
