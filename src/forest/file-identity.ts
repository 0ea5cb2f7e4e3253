/** Identifies a file independently of its name; no user can give another file the same values. */
export interface FileIdentity {
	/** st_dev. */
	readonly device: bigint;
	readonly inode: bigint;
	/** Nanoseconds since 1970 (statx(2), stx_btime); 0 where the file system keeps none. An inode number is given anew, its birth is not. */
	readonly birth: bigint;
}

export const sameFile = (a: FileIdentity, b: FileIdentity): boolean =>
	a.device === b.device && a.inode === b.inode && a.birth === b.birth;

export type { MappedFile } from "../descriptors/mapped-file.ts";
