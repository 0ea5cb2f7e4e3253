/**
 * What a file that is named after one process would be called by another of the same program: the id of the one, where it
 * stands alone, is that of the other. HotSpot has /tmp/hsperfdata_USER/PID, Mono /dev/shm/mono.PID.
 */
export const namedAfter = (path: string, pid: number, other: number): string =>
	path.replace(new RegExp(`(?<![0-9])${pid}(?![0-9])`, "g"), `${other}`);
