import { hex } from "../bytes/address.ts";
import { rangeAt } from "../bytes/range.ts";
import type { Task } from "../forest/task.ts";
import { readLink, statLink } from "../proc/links.ts";
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
		if (backing.kind === "object") same(`object ${backing.object}`, who, inode);
		if (backing.kind === "file" && backing.ghost !== undefined) same(`file ${backing.path}`, who, inode);
	}
	for (const { number, description } of task.files.descriptors) {
		const ghost = description.kind === "file" && description.ghost !== undefined;
		if (replaced.has(number) || !(ghost || description.kind === "memfd")) continue;
		const { ino } = statLink(living, `fd/${number}`);
		same(
			description.kind === "memfd" ? `object ${description.object}` : `file ${description.path}`,
			`descriptor ${number}`,
			ino,
		);
		if (description.kind !== "memfd") continue;
		const name = readLink(living, `fd/${number}`);
		const planned = `/memfd:${description.name} (deleted)`;
		if (name !== planned) differences.push(`descriptor ${number} is of ${name}, expected ${planned}`);
	}
	return differences;
}
