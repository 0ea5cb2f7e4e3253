import type { Stats } from "node:fs";
import { isKernelPath } from "../core/files.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { resolveInRoot } from "./resolve-in-root.ts";

/** A user without capabilities, in one group. */
export interface Reader {
	readonly uid: number;
	readonly gid: number;
}

/**
 * Whether a user may do something with a file that is reached through some directories, by the permission bits: what an
 * access list grants beyond them is not seen, and is refused.
 *
 * @param bits {@link ACCESS}
 */
export function mayAccess(
	reader: Reader,
	file: Pick<Stats, "uid" | "gid" | "mode">,
	through: readonly Pick<Stats, "uid" | "gid" | "mode">[],
	bits: number,
): boolean {
	const may = ({ uid, gid, mode }: Pick<Stats, "uid" | "gid" | "mode">, bits: number): boolean =>
		((mode >> (uid === reader.uid ? 6 : gid === reader.gid ? 3 : 0)) & bits) === bits;
	return reader.uid === 0 || (may(file, bits) && through.every((directory) => may(directory, ACCESS.X_OK)));
}

/**
 * Whether a user may open what a path of this host leads to; true where nothing is. Never for procfs and sysfs: they check the
 * opener's rights, not the mode alone, so we must not open them for others.
 */
export function mayOpen(reader: Reader, path: string, bits: number): boolean {
	if (!path.startsWith("/") || path.includes("\0")) return false;
	const reached = resolveInRoot("/", path);
	if (reached === undefined) return true;
	const { inner, stat, through } = reached;
	if (isKernelPath(inner) && !inner.startsWith("/dev/")) return false;
	return mayAccess(reader, stat, through, bits);
}
