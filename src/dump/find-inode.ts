import type { BigIntStats } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { once } from "../bytes/once.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { FileHandle, WatchedInode } from "../descriptors/ask.ts";
import { fileHandle } from "../linux/inotify.ts";
import { O } from "../linux/open.ts";
import { majorOf, minorOf } from "../linux/stat.ts";
import { type Link, readLink, statLink } from "../proc/links.ts";
import { type Mount, readMounts } from "../proc/mounts.ts";
import { lookAt, namesIn } from "./other-name.ts";

/**
 * Finds where inodes are that the kernel tells by number and handle: the handle leads there (open_by_handle_at(2), which takes
 * CAP_DAC_READ_SEARCH), or they lie near what the process has open.
 *
 * @param near paths to search around.
 */
export function inodeFinder(
	agent: Agent,
	pid: number,
	near: readonly string[],
): (inode: WatchedInode) => Promise<string | undefined> {
	const mounts = once(() => readMounts(pid));
	const around = once(() => inodesAround([readLink(pid, "cwd"), ...near]));
	return async (wanted) =>
		(await byHandle(
			agent,
			mounts().filter(({ device }) => device === wanted.device),
			wanted.handle,
		)) ?? around().get(keyOf(wanted.device, wanted.inode));
}

async function byHandle(agent: Agent, mounts: readonly Mount[], handle: FileHandle): Promise<string | undefined> {
	if (handle.bytes.length === 0) return undefined;
	const { length } = handle.bytes;
	const encoded = Buffer.concat([fileHandle.encode({ handle_bytes: length, handle_type: handle.type }), handle.bytes]);
	for (const { path: mounted } of mounts) {
		const directory = await agent.call("open", zeroEnded(mounted), O.RDONLY | O.DIRECTORY | O.CLOEXEC);
		if (directory < 0n) continue;
		const found = await agent.call("open_by_handle_at", directory, encoded, O.PATH | O.CLOEXEC);
		await agent.call("close", directory);
		if (found < 0n) continue;
		try {
			const link: Link = `fd/${Number(found)}`;
			const path = readLink(agent.pid, link);
			if (isSame(lookAt(path), statLink(agent.pid, link))) return path;
		} finally {
			await agent.call("close", found);
		}
	}
	return undefined;
}

const zeroEnded = (path: string): Buffer => Buffer.concat([bytesFromText(path), Buffer.of(0)]);

const isSame = (look: BigIntStats | undefined, { ino, dev }: BigIntStats): boolean =>
	look?.ino === ino && look.dev === dev;

const keyOf = (device: number, inode: bigint): string => `${device} ${inode}`;

/** The first path of each: the paths themselves, the directories that they are in, and what is in these. */
function inodesAround(near: readonly string[]): ReadonlyMap<string, string> {
	const found = new Map<string, string>();
	const note = (path: string, { ino, dev }: BigIntStats): void => {
		const key = keyOf(majorOf(dev) * (1 << 20) + minorOf(dev), ino);
		if (!found.has(key)) found.set(key, path);
	};
	const directories = new Set<string>();
	for (const path of near) {
		const look = lookAt(path);
		if (look !== undefined) note(path, look);
		if (look?.isDirectory() === true) directories.add(path);
		for (let up = dirname(path); !directories.has(up); up = dirname(up)) directories.add(up);
	}
	for (const directory of directories) {
		const look = lookAt(directory);
		if (look !== undefined) note(directory, look);
	}
	for (const directory of directories) for (const { path, look } of namesIn(directory)) note(path, look);
	return found;
}
