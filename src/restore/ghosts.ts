import { tmpdir } from "node:os";
import type { Task } from "../forest/task.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { directoryOf, isDirectory, shownGhosts } from "../plan/files/ghosts.ts";

/** Where files without a name can be, if not where they were. */
export const PLACES: readonly string[] = ["/var/tmp", "/dev/shm"];

/** Whether a file without a name can be made in a directory. */
export type TakesNameless = (directory: string) => boolean;

/**
 * Says where the files that had lost their names can be made: in the directory that each was in; where that is gone, or its
 * file system knows no O_TMPFILE, in one for temporary files. Where nothing will do it is left to fail.
 */
export function placeGhosts(task: Task, policy: FilePolicy, takesNameless: TakesNameless): FilePolicy {
	const places = new Map<number, string>();
	for (const ghost of shownGhosts(task, policy)) {
		if (isDirectory(ghost)) continue;
		const { id, path } = ghost;
		if (takesNameless(directoryOf(path))) continue;
		const place = [tmpdir(), ...PLACES].find(takesNameless);
		if (place !== undefined) places.set(id, place);
	}
	return places.size === 0 ? policy : { ...policy, ghosts: places };
}
