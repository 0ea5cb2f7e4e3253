import type { Task } from "../../task/task.ts";
import { type FileUse, keyOfInput, type NeededFile, useOfMapping, useOfOpen } from "../inputs.ts";
import { ghostDirectories } from "./ghosts.ts";
import { ownName } from "./own-name.ts";
import { type FilePolicy, slotsOf } from "./slots.ts";

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
	for (const { content, byCaller } of slotsOf(files, policy, () => {})) {
		const by = byCaller === true ? "caller" : "user";
		if (content.kind === "fifo") need(content.file.path, "node", by);
		if (content.kind === "substitute") need(content.path, "node", by);
		if (content.kind !== "file" || content.ghost !== undefined) continue;
		if (ownName(content.path, identity.pid) === undefined) need(content.path, useOfOpen(content.flags), by);
	}
	for (const path of [files.cwd, files.root]) if (path !== undefined) need(path, "node");
	return [...needed.values()];
}
