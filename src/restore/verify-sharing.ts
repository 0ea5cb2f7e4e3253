import { hex } from "../bytes/address.ts";
import { rangeAt } from "../bytes/range.ts";
import { kindOf } from "../descriptors/kinds.ts";
import type { Task } from "../forest/task.ts";
import { statLink } from "../proc/links.ts";
import type { MapsEntry } from "../proc/maps.ts";
import type { Whose } from "../proc/whose.ts";

/**
 * Descriptors and mappings that should share one memfd, or one unnamed file, and have different inodes, in words.
 *
 * @param living one of its threads that has not ended.
 * @param maps /proc/PID/maps.
 * @param replaced descriptors that the user gave another file.
 */
export function otherInodes(
	living: Whose,
	task: Task,
	maps: readonly MapsEntry[],
	replaced: ReadonlyMap<number, string>,
): string[] {
	const differences: string[] = [];
	const groups = new Map<string, { who: string; inode: bigint }>();
	const same = (group: string, who: string, inode: bigint | undefined): void => {
		const first = groups.get(group);
		if (inode === undefined) return;
		if (first === undefined) groups.set(group, { who, inode });
		else if (first.inode !== inode) differences.push(`${who} and ${first.who} no longer show the same ${group}`);
	};
	for (const { start, backing, shared } of task.memory.mappings) {
		if (!shared) continue;
		const [who, inode] = [`mapping ${hex(start)}`, rangeAt(maps, start)?.inode];
		if (backing.kind === "sysv" && task.ipc !== undefined && inode !== backing.id)
			differences.push(`${who} shows System V segment ${inode}, expected ${backing.id}`);
		if (backing.kind === "object") same(`object ${backing.object}`, who, inode);
		if (backing.kind === "file" && backing.ghost !== undefined) same(`file ${backing.path}`, who, inode);
	}
	const { cwd, root, cwdGhost, rootGhost } = task.files;
	if (cwdGhost !== undefined) same(`file ${cwd}`, "the working directory", statLink(living, "cwd").ino);
	if (rootGhost !== undefined) same(`file ${root}`, "the root directory", statLink(living, "root").ino);
	for (const { number, description } of task.files.descriptors) {
		const shared = replaced.has(number) ? undefined : kindOf(description).shares?.(description)?.inode;
		if (shared !== undefined) same(shared, `descriptor ${number}`, statLink(living, `fd/${number}`).ino);
	}
	return differences;
}
