import type { BigIntStats } from "node:fs";

/*
 * Who may change what. Root and we ourselves are not "others": root may do anything anyway.
 */

type OwnerAndMode = Pick<BigIntStats, "uid" | "gid" | "mode">;

const S_ISVTX = 0o1000n;

export const isOurs = (uid: bigint | number): boolean => Number(uid) === 0 || Number(uid) === process.geteuid?.();

/** Whether others may write, by its mode. Our own group may: that is what a private group and umask 002 come to. */
export const isOthersToWrite = ({ gid, mode }: OwnerAndMode): boolean =>
	(mode & 0o002n) !== 0n || ((mode & 0o020n) !== 0n && Number(gid) !== 0 && Number(gid) !== process.getegid?.());

/** Whether others may add names to a directory. */
export const isOthersToFill = (dir: OwnerAndMode): boolean => !isOurs(dir.uid) || isOthersToWrite(dir);

/** Whether others may rename or remove what is ours in a directory: its owner may, and whoever may write where it is not sticky. */
export const isOthersToMove = (dir: OwnerAndMode): boolean =>
	!isOurs(dir.uid) || (isOthersToWrite(dir) && (dir.mode & S_ISVTX) === 0n);
