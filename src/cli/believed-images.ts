import type { ImageDir } from "../criu/image-dir.ts";
import type { Finding } from "../finding.ts";
import type { Task } from "../forest/task.ts";
import { taskFromImages } from "../images/read/from-images.ts";
import { writersTold } from "../images/read/side-record.ts";
import { readLimits } from "../proc/limits.ts";
import { imageRights } from "../rights/image-rights.ts";
import { groupsOfUser, isAlone, ourRights } from "../rights/our-rights.ts";

/** A task from images, limited to the rights of those who can have written them. @throws NecromancerError ERR_UNTRUSTED */
export function believedImages(
	dir: ImageDir,
	pid: number | undefined,
	{ trust, runs }: { readonly trust: boolean; readonly runs: boolean },
): { readonly task: Task; readonly findings: readonly Finding[] } {
	const task = taskFromImages(dir, pid);
	return imageRights(task, {
		...{ name: dir.path, writers: [...dir.writers, ...writersTold(dir)], us: ourRights(), trust, runs },
		...{ alone: isAlone, groupsOf: groupsOfUser },
		limits: readLimits("self"),
	});
}
