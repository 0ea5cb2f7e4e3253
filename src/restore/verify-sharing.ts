import { readlinkSync, statSync } from "node:fs";
import { address, hex } from "../bytes/address.ts";
import { type Range, rangeAt } from "../bytes/range.ts";
import { textFromBytes } from "../bytes/text.ts";
import type { Task } from "../task/task.ts";

/**
 * What of a restored process does not show the same although it was the same: descriptors and mappings of one memfd, or of one
 * file without a name. In words, by their inodes.
 *
 * @param place its directory in /proc.
 * @param maps /proc/PID/maps.
 * @param replaced descriptors that the user gave another file.
 */
export function otherInodes(place: string, task: Task, maps: string, replaced: ReadonlyMap<number, string>): string[] {
	const differences: string[] = [];
	const lines = linesOf(maps);
	const groups = new Map<string, { who: string; inode: bigint }>();
	const same = (group: string, who: string, inode: bigint | undefined): void => {
		const first = groups.get(group);
		if (inode === undefined) return;
		if (first === undefined) groups.set(group, { who, inode });
		else if (first.inode !== inode) differences.push(`${who} and ${first.who} no longer show the same ${group}`);
	};
	for (const { start, backing, shared } of task.memory.mappings) {
		if (!shared) continue;
		const [who, inode] = [`mapping ${hex(start)}`, rangeAt(lines, start)?.inode];
		if (backing.kind === "object") same(`object ${backing.object}`, who, inode);
		if (backing.kind === "file" && backing.ghost !== undefined) same(`file ${backing.path}`, who, inode);
	}
	for (const { number, description } of task.files.descriptors) {
		const ghost = description.kind === "file" && description.ghost !== undefined;
		if (replaced.has(number) || !(ghost || description.kind === "memfd")) continue;
		const file = `${place}/fd/${number}`;
		const { ino } = statSync(file, { bigint: true });
		same(
			description.kind === "memfd" ? `object ${description.object}` : `file ${description.path}`,
			`descriptor ${number}`,
			ino,
		);
		if (description.kind !== "memfd") continue;
		const name = textFromBytes(readlinkSync(file, "buffer"));
		const planned = `/memfd:${description.name} (deleted)`;
		if (name !== planned) differences.push(`descriptor ${number} is of ${name}, expected ${planned}`);
	}
	return differences;
}

const linesOf = (maps: string): (Range & { readonly inode: bigint })[] =>
	[...maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+)/gm)].map(([, start = "0", end = "0", inode = "0"]) => ({
		start: address(BigInt(`0x${start}`)),
		end: address(BigInt(`0x${end}`)),
		inode: BigInt(inode),
	}));
