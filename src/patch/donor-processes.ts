import type { ImageDir } from "../criu/image-dir.ts";
import type { Task } from "../forest/task.ts";
import { forestFromImages, taskFromImages } from "../images/read/from-images.ts";
import { treeOf } from "../images/read/tree.ts";
import { type Dead, pairProcesses } from "../understand/donor/process-pairs.ts";

/**
 * The processes of a donor whose place the dead ones take, in their order. Of a tree, only what has to be looked at is read.
 *
 * @throws NecromancerError as {@link pairProcesses} does, and whatever is wrong with the images.
 */
export function donorProcesses(dir: ImageDir, deads: readonly Dead[]): readonly Task[] {
	const [first, ...others] = deads;
	const choice = others.length === 0 ? first?.donorPid : undefined;
	if (first !== undefined && others.length === 0 && (choice !== undefined || treeOf(dir).length === 1))
		return [taskFromImages(dir, choice)];
	const { processes } = forestFromImages(dir);
	const living = new Set(processes.map(({ identity }) => identity.pid));
	// says why it is none
	for (const { donorPid } of deads) if (donorPid !== undefined && !living.has(donorPid)) taskFromImages(dir, donorPid);
	return pairProcesses(deads, processes, `${dir.path}/pstree.img`);
}
