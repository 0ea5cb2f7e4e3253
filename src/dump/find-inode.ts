import type { BigIntStats } from "node:fs";
import { dirname } from "node:path";
import type { Agent } from "../agent/agent.ts";
import { inBatches } from "../agent/in-batches.ts";
import { once } from "../bytes/once.ts";
import { zeroEnded } from "../bytes/text.ts";
import type { FileHandle, WatchedInode } from "../descriptors/ask.ts";
import { fileHandle } from "../linux/inotify.ts";
import { O } from "../linux/open.ts";
import { kernelDevice, majorOf, minorOf } from "../linux/stat.ts";
import { type Link, readLink, statLink } from "../proc/links.ts";
import { readMounts } from "../proc/mounts.ts";
import { lookAt } from "./looks.ts";
import { namesIn } from "./other-name.ts";

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
): (inodes: readonly WatchedInode[]) => Promise<readonly (string | undefined)[]> {
	const mounts = once(() => readMounts(pid));
	const around = once(() => inodesAround([readLink(pid, "cwd"), ...near]));
	return async (wanted) => {
		const found = new Map<WatchedInode, string>();
		const left = new Set(wanted.filter(({ handle }) => handle.bytes.length > 0));
		for (const { path: mounted, device } of wanted.length === 0 ? [] : mounts()) {
			const here = [...left].filter((inode) => inode.device === device);
			if (here.length === 0) continue;
			for (const [inode, path] of await byHandle(agent, mounted, here)) {
				found.set(inode, path);
				left.delete(inode);
			}
		}
		return wanted.map((inode) => found.get(inode) ?? around().get(keyOf(inode.device, inode.inode)));
	};
}

/** Descriptors that the agent has open at a time. */
const AT_ONCE = 100;

/** Milliseconds. */
const PATIENCE = 30_000;

/** Those that their handles lead to on one mount. */
async function byHandle(
	agent: Agent,
	mounted: string,
	inodes: readonly WatchedInode[],
): Promise<ReadonlyMap<WatchedInode, string>> {
	const found = new Map<WatchedInode, string>();
	const directory = await agent.call("open", zeroEnded(mounted), O.RDONLY | O.DIRECTORY | O.CLOEXEC);
	if (directory < 0n) return found;
	const common = { doing: "looking for what is watched", patience: PATIENCE };
	for (let from = 0; from < inodes.length; from += AT_ONCE) {
		const opened = new Map<WatchedInode, bigint>();
		await inBatches(agent, inodes.slice(from, from + AT_ONCE), {
			...common,
			add: (batch, { handle }) =>
				batch.call("open_by_handle_at", directory, batch.put(bytesOf(handle)), O.PATH | O.CLOEXEC),
			read: (done, result, inode) => {
				if (done.result(result) >= 0n) opened.set(inode, done.result(result));
			},
		});
		try {
			for (const [inode, number] of opened) {
				const link: Link = `fd/${Number(number)}`;
				const path = readLink(agent.pid, link);
				if (isSame(lookAt(path), statLink(agent.pid, link))) found.set(inode, path);
			}
		} finally {
			await inBatches(agent, [...opened.values()], {
				...{ ...common, read: () => {} },
				add: (batch, number) => batch.call("close", number),
			});
		}
	}
	await agent.call("close", directory);
	return found;
}

const bytesOf = ({ type, bytes }: FileHandle): Buffer =>
	Buffer.concat([fileHandle.encode({ handle_bytes: bytes.length, handle_type: type }), bytes]);

const isSame = (look: BigIntStats | undefined, { ino, dev }: BigIntStats): boolean =>
	look?.ino === ino && look.dev === dev;

const keyOf = (device: number, inode: bigint): string => `${device} ${inode}`;

/** The first path of each: the paths themselves, the directories that they are in, and what is in these. */
function inodesAround(near: readonly string[]): ReadonlyMap<string, string> {
	const found = new Map<string, string>();
	const note = (path: string, { ino, dev }: BigIntStats): void => {
		const key = keyOf(kernelDevice(majorOf(dev), minorOf(dev)), ino);
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
