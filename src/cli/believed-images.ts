import type { ImageDir } from "../criu/image-dir.ts";
import type { Finding } from "../finding.ts";
import { type Forest, forestOf } from "../forest/forest.ts";
import { forestFromImages, taskFromImages } from "../images/read/from-images.ts";
import { writersTold } from "../images/read/side-record.ts";
import { readLimits } from "../proc/limits.ts";
import { imageRights } from "../rights/image-rights.ts";
import { groupsOfUser, isAlone, ourRights } from "../rights/our-rights.ts";

/**
 * The processes of images, limited to the rights of those who can have written them.
 *
 * @param pid one of them alone.
 * @throws NecromancerError ERR_UNTRUSTED
 */
export function believedImages(
	dir: ImageDir,
	pid: number | undefined,
	{ trust, runs }: { readonly trust: boolean; readonly runs: boolean },
): { readonly forest: Forest; readonly findings: readonly Finding[] } {
	const forest = pid === undefined ? forestFromImages(dir) : forestOf([taskFromImages(dir, pid)]);
	return imageRights(forest, {
		...{ name: dir.path, writers: [...dir.writers, ...writersTold(dir)], us: ourRights(), trust, runs },
		...{ alone: isAlone, groupsOf: groupsOfUser },
		limits: readLimits("self"),
	});
}
