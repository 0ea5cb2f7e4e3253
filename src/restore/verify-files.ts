import { hex } from "../bytes/address.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { type Link, readLink, statLink } from "../proc/links.ts";
import { filesByStart, type MapsEntry } from "../proc/maps.ts";
import { ownerInProc } from "../proc/own-paths.ts";
import type { Description } from "../task/files.ts";
import type { Task } from "../task/task.ts";
import type { FoundFile } from "./look-up-files.ts";
import { isOfProcess } from "./needed-files.ts";

/**
 * Differences between the files that a process has and those that were judged, in words: its fds, directories, executable and
 * mappings are compared by device and inode, not by name.
 *
 * @param maps /proc/PID/maps.
 * @param judged The judged files, by path. Others are not compared.
 */
export function fileDifferences(
	pid: number,
	{ identity, files, memory }: Pick<Task, "identity" | "files" | "memory">,
	maps: readonly MapsEntry[],
	{ fds, byCaller }: Pick<FilePolicy, "fds" | "byCaller">,
	judged: ReadonlyMap<string, FoundFile>,
): string[] {
	const differences: string[] = [];
	const differ = (who: string, path: string): void => void differences.push(`${who} is not ${path} as it was found`);
	const hold = (who: string, link: Link, path: string): void => {
		const right = judged.get(path);
		if (right === undefined) return;
		const { dev, ino } = statLink(pid, link);
		if (dev !== right.device || ino !== right.inode) differ(who, path);
	};
	for (const { number, description } of files.descriptors) {
		if (fds.has(number) || byCaller?.has(number) === true) continue;
		const path = pathOf(description);
		if (path !== undefined) hold(`descriptor ${number}`, `fd/${number}`, path);
		const kind = links[description.kind];
		// a file of /proc/self is named after the process that opened it
		const proc = path !== undefined && isOfProcess(path) ? nameInProc(path, identity.pid, pid) : undefined;
		if (kind === undefined && proc === undefined) continue;
		const link = readLink(pid, `fd/${number}`);
		if (proc === undefined ? !link.startsWith(kind ?? "") : link !== proc)
			differences.push(`descriptor ${number} is ${link}, expected ${proc ?? kind}`);
	}
	if (files.cwd !== undefined) hold("the working directory", "cwd", files.cwd);
	if (files.root !== undefined) hold("the root directory", "root", files.root);
	const shown = filesByStart(maps);
	for (const { start, backing } of memory.mappings) {
		if (backing.kind !== "file" || backing.ghost !== undefined) continue;
		const [right, actual] = [judged.get(backing.path)?.inMaps, shown.get(start)];
		// the kernel may have merged two neighbours; then the first VMA is compared
		if (right !== undefined && actual !== undefined && actual !== right) differ(`mapping ${hex(start)}`, backing.path);
	}
	return differences;
}

/** What a file in /proc is called where the process has another id. */
function nameInProc(path: string, was: number, is: number): string {
	const owner = ownerInProc(path);
	return owner?.pid === was
		? `/proc/${is}${owner.rest.replace(new RegExp(`^/task/${was}(?=/|$)`), `/task/${is}`)}`
		: path;
}

/** The path that a description was opened by, if it was. */
function pathOf(description: Description): string | undefined {
	if (description.kind === "file")
		return description.ghost === undefined && !description.unlinked ? description.path : undefined;
	return description.kind === "fifo" && description.unlinked !== true ? description.file.path : undefined;
}

/** How /proc/PID/fd names what has no path (proc(5)). */
const links: Readonly<Partial<Record<Description["kind"], string>>> = {
	pipe: "pipe:[",
	eventfd: "anon_inode:[eventfd]",
	epoll: "anon_inode:[eventpoll]",
	signalfd: "anon_inode:[signalfd]",
	timerfd: "anon_inode:[timerfd]",
};
