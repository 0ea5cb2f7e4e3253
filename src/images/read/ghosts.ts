import { hex } from "../../bytes/address.ts";
import { ghostContent } from "../../criu/ghost.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { type FileEntry, RemapType, type Timeval } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { GhostFile } from "../../forest/task.ts";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../linux/stat.ts";

/** Unlinked files ("ghosts") of images, by the id of their file entries. */
export interface ImageGhosts {
	/** Its regular file; `undefined` for one that still had its name, or whose content nobody saved. */
	ghost(entry: number): GhostFile | undefined;
	/** Its directory. */
	directory(entry: number): GhostFile | undefined;
	/** The other name by which it can still be reached: a link that the dump made. */
	link(entry: number): string | undefined;
	/** Whether the name in its entry leads nowhere. */
	unlinked(entry: number): boolean;
	/** Those that were asked for. */
	list(): readonly GhostFile[];
}

/**
 * Files without names, as remap-fpath.img tells of them.
 *
 * The methods throw NecromancerError: ERR_IMAGE_MISSING without the ghost's image, ERR_IMAGE_CORRUPT for a link that is none.
 */
export function ghostsOf(dir: ImageDir, entries: ReadonlyMap<number, FileEntry>): ImageGhosts {
	const records = dir.has("remap-fpath.img") ? dir.image("remap-fpath.img", "remap-fpath").records : [];
	const remaps = new Map(records.map(({ value }) => [value.orig_id, value]));
	const read = new Map<number, GhostFile>();
	const asked = new Map<number, GhostFile>();
	/** Of a socket or a device there is nothing to be made again. */
	const ofType = (entry: number, type: number): GhostFile | undefined => {
		const remap = remaps.get(entry);
		if (remap === undefined || remap.remap_type !== RemapType.GHOST) return undefined;
		const { remap_id: id } = remap;
		const ghost = read.get(id) ?? readGhost(dir, id, entries.get(entry)?.reg?.name ?? "");
		read.set(id, ghost);
		if ((ghost.mode & S_IFMT) !== type) return undefined;
		asked.set(id, ghost);
		return ghost;
	};
	return {
		ghost: (entry) => ofType(entry, S_IFREG),
		directory: (entry) => ofType(entry, S_IFDIR),
		link: (entry) => {
			const remap = remaps.get(entry);
			if (remap === undefined || (remap.remap_type ?? RemapType.LINKED) !== RemapType.LINKED) return undefined;
			return (
				entries.get(remap.remap_id)?.reg?.name ??
				refuse("ERR_IMAGE_CORRUPT", {
					subject: `${dir.path}/remap-fpath.img`,
					finding: `file ${entry} is linked as file ${remap.remap_id}`,
					expectation: "which files.img does not hold as a regular file",
				})
			);
		},
		unlinked: (entry) => remaps.has(entry),
		list: () => [...asked.values()],
	};
}

function readGhost(dir: ImageDir, id: number, path: string): GhostFile {
	const name = `ghost-file-${id.toString(16)}.img`;
	const [record] = dir.image(name, "ghost-file").records;
	if (record === undefined)
		return refuse("ERR_IMAGE_CORRUPT", { subject: `${dir.path}/${name}`, finding: "holds no record" });
	const { uid, gid, mode, atim, mtim } = record.value;
	const { size, extents } = ghostContent(record, `${dir.path}/${name}`);
	if (size >= 1n << 63n)
		refuse("ERR_IMAGE_CORRUPT", {
			subject: `${dir.path}/${name}`,
			finding: `is of a file of ${hex(size)} bytes`,
			expectation: "expected less than 2^63",
		});
	return {
		...{ id, path, mode, uid, gid, size },
		contents: extents,
		...timesOf(atim, mtim),
	};
}

/** Beyond this year nobody has written a file. */
const LAST_SECOND = 1n << 40n;

/** Both or none: what is no time is not worth a refusal. */
function timesOf(read: Timeval | undefined, written: Timeval | undefined): Pick<GhostFile, "accessed" | "modified"> {
	const isTime = (time: Timeval | undefined): time is Timeval =>
		time !== undefined && time.tv_sec < LAST_SECOND && time.tv_usec < 1_000_000n;
	if (!isTime(read) || !isTime(written)) return {};
	return { accessed: nanoseconds(read), modified: nanoseconds(written) };
}

const nanoseconds = ({ tv_sec, tv_usec }: Timeval): bigint => tv_sec * 1_000_000_000n + tv_usec * 1000n;
