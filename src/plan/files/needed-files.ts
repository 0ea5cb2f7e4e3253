import type { Task } from "../../forest/task.ts";
import { ownName } from "../../proc/own-paths.ts";
import { type FileUse, keyOfInput, type NeededFile, useOfMapping, useOfOpen } from "../inputs.ts";
import { ghostDirectories } from "./ghosts.ts";
import { type FdSlot, type FilePolicy, slotsOf } from "./slots.ts";

/**
 * All files of the host that the plan of a process uses, each once for each use: its mapped files, executable and directories,
 * what it has open, and where files without a name are made. Not those that the process finds about itself in /proc: it alone
 * can open them.
 *
 * @throws NecromancerError ERR_UNSUPPORTED for descriptors that cannot be opened and have no substitute.
 */
export function neededFiles(task: Task, policy: FilePolicy): NeededFile[] {
	const { memory, files, identity } = task;
	const needed = new Map<string, NeededFile>();
	const need = (path: string, use: FileUse, by: NeededFile["by"] = "user"): void => {
		needed.set(keyOfInput(path, use, by), { path, use, by });
	};
	for (const mapping of memory.mappings)
		if (mapping.backing.kind === "file" && mapping.backing.ghost === undefined)
			need(mapping.backing.path, useOfMapping(mapping));
	if (memory.executable !== "" && memory.executableGhost === undefined) need(memory.executable, "read");
	for (const directory of ghostDirectories(task, policy)) need(directory, "node");
	for (const slot of slotsOf(files, policy, () => {})) {
		const file = fileOfSlot(slot, identity.pid);
		if (file !== undefined) need(file.path, file.use, file.by);
	}
	for (const path of [files.cwd, files.root]) if (path !== undefined) need(path, "node");
	return [...needed.values()];
}

/** The file of the host that a descriptor is made of, if it is made of one. */
export function fileOfSlot({ content, byCaller }: FdSlot, pid: number): NeededFile | undefined {
	const by = byCaller === true ? "caller" : "user";
	if (content.kind === "fifo") return { path: content.file.path, use: "node", by };
	if (content.kind === "substitute") return { path: content.path, use: "node", by };
	if (content.kind !== "file" || content.ghost !== undefined || ownName(content.path, pid) !== undefined)
		return undefined;
	return { path: content.path, use: useOfOpen(content.flags), by };
}
