import { kindOf } from "../descriptors/kinds.ts";
import type { Task } from "../forest/task.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { readFdinfo } from "../proc/fdinfo.ts";
import { readLink } from "../proc/links.ts";

/**
 * Differences between the descriptors that a process has and those that were planned, in words, as far as their kinds can tell
 * (`descriptors/`). What has a path was opened once, before the process existed.
 */
export const descriptorDifferences = (
	pid: number,
	{ identity, files }: Pick<Task, "identity" | "files">,
	{ fds, byCaller }: Pick<FilePolicy, "fds" | "byCaller">,
): string[] =>
	files.descriptors.flatMap(({ number, description }) => {
		if (fds.has(number) || byCaller?.has(number) === true) return [];
		const difference = kindOf(description).differs(description, {
			...{ was: identity.pid, is: pid },
			get link() {
				return readLink(pid, `fd/${number}`);
			},
			get info() {
				return readFdinfo(pid, number);
			},
		});
		return difference === undefined ? [] : [`descriptor ${number} ${difference}`];
	});
