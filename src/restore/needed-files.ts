import { isKernelPath } from "../core/files.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { PROT_WRITE } from "../linux/mman.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import type { Task } from "../task/task.ts";

/** A file of this host that a process needs. */
export interface NeededFile {
	readonly path: string;
	/** What is done with it: R_OK, W_OK, X_OK of access(2). */
	readonly access: number;
	/** Whether its build-id matters. */
	readonly buildId: boolean;
	readonly mapped: boolean;
}

/**
 * The files of a process by their paths, each once: mapped and open files, its executable, its directories. Without those given
 * by the caller, unnamed files, and files of /proc/self or /proc/PID: only the process itself can open those.
 */
export function neededFiles(
	{ memory, files }: Task,
	{ fds, byCaller }: Pick<FilePolicy, "fds" | "byCaller">,
): NeededFile[] {
	const wanted = new Map<string, NeededFile>();
	const want = (path: string, access: number, more: Partial<NeededFile> = {}): void => {
		if (!path.startsWith("/") || path.includes("\0") || isOfProcess(path)) return;
		const known = wanted.get(path) ?? { path, access: 0, buildId: false, mapped: false };
		wanted.set(path, {
			path,
			access: known.access | access,
			buildId: known.buildId || more.buildId === true,
			mapped: known.mapped || more.mapped === true,
		});
	};
	for (const { path, buildId } of memory.files.values()) want(path, 0, { buildId: buildId !== undefined });
	for (const { backing, shared, prot } of memory.mappings) {
		if (backing.kind !== "file" || backing.ghost !== undefined) continue;
		const writes = shared && (backing.writable || (prot & PROT_WRITE) !== 0);
		want(backing.path, writes ? ACCESS.R_OK | ACCESS.W_OK : ACCESS.R_OK, { mapped: true });
	}
	if (memory.executable !== "" && memory.executableGhost === undefined) want(memory.executable, ACCESS.R_OK);
	for (const { number, description } of files.descriptors) {
		if (fds.has(number) || byCaller?.has(number) === true) continue;
		if (description.kind === "file" && description.ghost === undefined && !description.unlinked)
			want(description.path, accessOf(description.flags), { buildId: description.buildId !== undefined });
		// both ends are opened while its content is written
		if (description.kind === "fifo" && description.unlinked !== true)
			want(description.file.path, ACCESS.R_OK | ACCESS.W_OK);
	}
	for (const path of [files.cwd, files.root]) if (path !== undefined) want(path, ACCESS.X_OK);
	return [...wanted.values()];
}

/** `/proc/self/status`, `/proc/5739/maps`: what they show depends on who opens them. */
export const isOfProcess = (path: string): boolean => isKernelPath(path) && path.startsWith("/proc/");

const { R_OK, W_OK } = ACCESS;

/** What is done with a file that is open with these flags. */
const accessOf = (flags: number): number =>
	(flags & O.PATH) !== 0 ? 0 : ([R_OK, W_OK, R_OK | W_OK][flags & O_ACCMODE] ?? 0);
