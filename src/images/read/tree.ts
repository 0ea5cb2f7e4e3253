import type { ImageDir } from "../../criu/image-dir.ts";
import type { PstreeEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import { atMost, mostThreads } from "../../linux/process-bounds.ts";

/**
 * The processes of an image directory in their order, parents before children.
 *
 * @throws NecromancerError ERR_IMAGE_CORRUPT when a process or a thread is there twice, or there are too many.
 */
export function treeOf(dir: ImageDir): readonly PstreeEntry[] {
	const { records } = dir.image("pstree.img", "pstree");
	const known = trees.get(records);
	if (known !== undefined) return known;
	const corrupt = (finding: string, expectation: string): never =>
		refuse("ERR_IMAGE_CORRUPT", { subject: `${dir.path}/pstree.img`, finding, expectation });
	const tree = records.map(({ value }) => value);
	const pids = new Set<number>();
	const tids = new Set<number>();
	for (const { pid, threads } of tree) {
		if (pids.has(pid)) corrupt(`has process ${pid} twice`, "expected it once");
		pids.add(pid);
		for (const tid of threads) {
			if (tids.has(tid)) corrupt(`has thread ${tid} twice`, "expected it once");
			tids.add(tid);
		}
	}
	const count = Math.max(pids.size, tids.size);
	const most = mostThreads(dir.size);
	if (count > most) corrupt(`has ${count} threads`, atMost(most, dir.size));
	trees.set(records, tree);
	return tree;
}

const trees = new WeakMap<object, readonly PstreeEntry[]>();
