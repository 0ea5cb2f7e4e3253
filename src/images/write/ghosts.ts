import { cutPlaced, type Extent } from "../../bytes/extent.ts";
import { encodeGhost } from "../../criu/ghost.ts";
import { encodeImage } from "../../criu/image.ts";
import { imageKinds } from "../../criu/kinds.ts";
import {
	type GhostFileEntry,
	type RemapFilePathEntry,
	RemapType,
	type Timeval,
} from "../../criu/wire/generated/schema.ts";
import type { Credentials, GhostFile } from "../../forest/task.ts";
import { S_IFDIR, S_IFIFO, S_IFMT, S_IFREG } from "../../linux/stat.ts";
import { timevalOf } from "../../linux/time.ts";

/** Builds remap-fpath.img and the ghost files. */
export interface GhostRecords {
	/** remap-fpath.img's records. */
	readonly remaps: readonly RemapFilePathEntry[];
	/** The ghost files to write, nodes without content among them. */
	readonly files: readonly GhostFile[];
	/** Records that a file entry's path is unlinked, and which ghost has its content. */
	lost(entry: number, ghost: number): void;
	/** The same for a directory or FIFO; false for kinds that cannot be made from the mode alone. */
	lostNode(entry: number, path: string, mode: number): boolean;
}

/** @param owner of nodes, of which nobody knows whose they were. */
export function ghostRecords(known: readonly GhostFile[], owner: Pick<Credentials, "fsuid" | "fsgid">): GhostRecords {
	const remaps: RemapFilePathEntry[] = [];
	const files = [...known];
	let last = known.reduce((most, { id }) => Math.max(most, id), 0);
	const lost = (entry: number, ghost: number): void =>
		void remaps.push({ orig_id: entry, remap_id: ghost, remap_type: RemapType.GHOST });
	return {
		remaps,
		files,
		lost,
		lostNode: (entry, path, mode) => {
			if (![S_IFDIR, S_IFIFO].includes(mode & S_IFMT)) return false;
			last++;
			files.push({ id: last, path, mode, uid: owner.fsuid, gid: owner.fsgid, size: 0n, contents: [] });
			lost(entry, last);
			return true;
		},
	};
}

/** File names are in hexadecimal. */
export const ghostName = ({ id }: GhostFile): string => `ghost-file-${id.toString(16)}.img`;

export function ghostImage({ mode, uid, gid, size, contents, accessed, modified }: GhostFile): (Uint8Array | Extent)[] {
	const times = accessed === undefined || modified === undefined ? {} : { atim: time(accessed), mtim: time(modified) };
	const entry: GhostFileEntry = { uid, gid, mode, ...times };
	if ((mode & S_IFMT) !== S_IFREG) return encodeImage({ kind: imageKinds["ghost-file"], records: [{ value: entry }] });
	const extents = contents.map((part) => cutPlaced(part, 0n, part.available)).filter(({ length }) => length > 0n);
	return encodeGhost(entry, { size, extents });
}

const time = (nanoseconds: bigint): Timeval => timevalOf(nanoseconds / 1000n);
