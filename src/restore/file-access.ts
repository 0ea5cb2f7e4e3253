import { ACCESS } from "../linux/fcntl.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { neededFiles } from "../plan/files/needed-files.ts";
import { type FilePolicy, slotsOf } from "../plan/files/slots.ts";
import type { NeededFile } from "../plan/inputs.ts";
import type { Task } from "../task/task.ts";

/** What a process does with its files that its user opens, by path: R_OK, W_OK, X_OK of access(2). */
export function accessesOf(task: Task, policy: FilePolicy): ReadonlyMap<string, number> {
	const { memory, files } = task;
	const accesses = new Map<string, number>();
	const want = (path: string, access: number): void => {
		accesses.set(path, (accesses.get(path) ?? 0) | access);
	};
	for (const path of memory.files.keys()) want(path, 0);
	for (const { path, use, by } of neededFiles(task, policy)) if (by === "user") want(path, accessFor(use));
	for (const { content, byCaller } of slotsOf(files, policy, () => {})) {
		if (byCaller === true) continue;
		if (content.kind === "file" && accesses.has(content.path)) want(content.path, accessOf(content.flags));
		// both ends are opened while its content is written
		if (content.kind === "fifo") want(content.file.path, R_OK | W_OK);
	}
	for (const path of [files.cwd, files.root]) if (path !== undefined) want(path, X_OK);
	return accesses;
}

const { R_OK, W_OK, X_OK } = ACCESS;

const accessFor = (use: NeededFile["use"]): number => (use === "read" ? R_OK : use === "write" ? R_OK | W_OK : 0);

/** What is done with a file that is open with these flags. */
const accessOf = (flags: number): number =>
	(flags & O.PATH) !== 0 ? 0 : ([R_OK, W_OK, R_OK | W_OK][flags & O_ACCMODE] ?? 0);
