import type { Description } from "../forest/files.ts";
import type { Task } from "../forest/task.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { readLink } from "../proc/links.ts";
import { ownerInProc } from "../proc/own-paths.ts";

/**
 * Differences between the descriptors that a process has and those that were planned, in words: those without a path by their
 * kind, what /proc shows of the process itself by its name. What has a path was opened once, before the process existed.
 */
export function descriptorDifferences(
	pid: number,
	{ identity, files }: Pick<Task, "identity" | "files">,
	{ fds, byCaller }: Pick<FilePolicy, "fds" | "byCaller">,
): string[] {
	return files.descriptors.flatMap(({ number, description }) => {
		if (fds.has(number) || byCaller?.has(number) === true) return [];
		const path = description.kind === "file" && !description.unlinked ? description.path : undefined;
		const kind = links[description.kind];
		// a file of /proc/self is named after the process that opened it
		const proc = path?.startsWith("/proc/") === true ? nameInProc(path, identity.pid, pid) : undefined;
		if (kind === undefined && proc === undefined) return [];
		const link = readLink(pid, `fd/${number}`);
		const right = proc === undefined ? link.startsWith(kind ?? "") : link === proc;
		return right ? [] : [`descriptor ${number} is ${link}, expected ${proc ?? kind}`];
	});
}

/** What a file in /proc is called where the process has another id. */
function nameInProc(path: string, was: number, is: number): string {
	const owner = ownerInProc(path);
	return owner?.pid === was
		? `/proc/${is}${owner.rest.replace(new RegExp(`^/task/${was}(?=/|$)`), `/task/${is}`)}`
		: path;
}

/** How /proc/PID/fd names what has no path (proc(5)). */
const links: Readonly<Partial<Record<Description["kind"], string>>> = {
	pipe: "pipe:[",
	eventfd: "anon_inode:[eventfd]",
	epoll: "anon_inode:[eventpoll]",
	signalfd: "anon_inode:[signalfd]",
	timerfd: "anon_inode:[timerfd]",
};
