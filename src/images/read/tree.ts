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
	const tids = new Map<number, number>();
	for (const { pid, threads } of tree) {
		if (pids.has(pid)) corrupt(`has process ${pid} twice`, "expected it once");
		pids.add(pid);
		for (const tid of threads) {
			const owner = tids.get(tid);
			// folklore: the one thread that CRIU 4.2 writes of a zombie is a number that it never set
			if (owner !== undefined && (owner === pid || (!isZombie(dir, owner) && !isZombie(dir, pid))))
				corrupt(`has thread ${tid} twice`, "expected it once");
			tids.set(tid, owner === undefined || isZombie(dir, owner) ? pid : owner);
		}
	}
	const count = Math.max(pids.size, tids.size);
	const most = mostThreads(dir.size);
	if (count > most) corrupt(`has ${count} threads`, atMost(most, dir.size));
	trees.set(records, tree);
	return tree;
}

/** Whether nothing but its exit status is left of a process. */
export function isZombie(dir: ImageDir, pid: number): boolean {
	const name = `core-${pid}.img`;
	if (!dir.has(name)) return false;
	const { tc, thread_info } = dir.one(name, "core");
	return tc !== undefined && thread_info === undefined;
}

const trees = new WeakMap<object, readonly PstreeEntry[]>();
