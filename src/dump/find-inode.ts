import type { BigIntStats } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { WatchedInode } from "../descriptors/ask.ts";
import { fileHandle } from "../linux/inotify.ts";
import { O } from "../linux/open.ts";
import { majorOf, minorOf } from "../linux/stat.ts";
import { type Link, readLink, statLink } from "../proc/links.ts";
import { readMounts } from "../proc/mounts.ts";
import { lookAt, nameIn } from "./other-name.ts";

/**
 * Where an inode is found that the kernel tells by its number and its handle: the handle leads there (open_by_handle_at(2), which
 * takes CAP_DAC_READ_SEARCH), or it lies near what the process has open.
 *
 * @param near paths to search around.
 */
export async function findInode(
	agent: Agent,
	pid: number,
	inode: WatchedInode,
	near: readonly string[],
): Promise<string | undefined> {
	return (await byHandle(agent, pid, inode)) ?? around([readLink(pid, "cwd"), ...near], inode);
}

async function byHandle(agent: Agent, pid: number, { device, handle }: WatchedInode): Promise<string | undefined> {
	if (handle.bytes.length === 0) return undefined;
	const encoded = Buffer.concat([
		fileHandle.encode({ handle_bytes: handle.bytes.length, handle_type: handle.type }),
		handle.bytes,
	]);
	for (const mount of readMounts(pid).filter((it) => it.device === device)) {
		const directory = await agent.call("open", zeroEnded(mount.path), O.RDONLY | O.DIRECTORY | O.CLOEXEC);
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

/** The paths themselves, the directories that they are in, and what is in these. */
function around(near: readonly string[], { inode, device }: WatchedInode): string | undefined {
	const isWanted = (look: BigIntStats): boolean =>
		look.ino === inode && majorOf(look.dev) === device >>> 20 && minorOf(look.dev) === (device & 0xf_ffff);
	const directories = new Set<string>();
	for (const path of near) {
		const look = lookAt(path);
		if (look !== undefined && isWanted(look)) return path;
		if (look?.isDirectory() === true) directories.add(path);
		for (let up = dirname(path); !directories.has(up); up = dirname(up)) directories.add(up);
	}
	for (const directory of directories) {
		const look = lookAt(directory);
		if (look !== undefined && isWanted(look)) return directory;
	}
	for (const directory of directories) {
		const path = nameIn(directory, isWanted);
		if (path !== undefined) return path;
	}
	return undefined;
}
