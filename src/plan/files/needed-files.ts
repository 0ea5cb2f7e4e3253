import { defined } from "../../bytes/defined.ts";
import { kindOf } from "../../descriptors/kinds.ts";
import { byOf } from "../../descriptors/node.ts";
import { slavePath } from "../../descriptors/terminal.ts";
import { namedDirectories } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { ownName } from "../../proc/own-paths.ts";
import { type FileUse, keyOfInput, type NeededFile, useOfMapping } from "../inputs.ts";
import { ghostDirectories } from "./ghosts.ts";
import { type FdSlot, type FilePolicy, isOwn, slotsOf } from "./slots.ts";

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
		for (const { path, use, by } of filesOfSlot(slot, identity.pid)) need(path, use, by);
		const pty = isOwn(slot) ? kindOf(slot.content).making.pty?.(slot.content) : undefined;
		if (pty !== undefined) need(slavePath(pty), "terminal");
	}
	for (const path of namedDirectories(files)) need(path, "node");
	return [...needed.values()];
}

/**
 * Those of several processes, each once for each use.
 *
 * @param whose tells their users apart, where there are several.
 */
export function neededByAll(
	tasks: readonly Task[],
	policy: FilePolicy,
	whose: (task: Task) => string | undefined = () => undefined,
): readonly NeededFile[] {
	const needed = new Map<string, NeededFile>();
	for (const task of tasks)
		for (const file of neededFiles(task, policy)) {
			const own = file.by === "user" ? { ...file, ...defined({ whose: whose(task) }) } : file;
			const key = keyOfInput(own.path, own.use, own.by, own.whose);
			if (!needed.has(key)) needed.set(key, own);
		}
	return [...needed.values()];
}

/** The files of the host that a descriptor is made of. */
export function filesOfSlot(slot: FdSlot, pid: number): readonly SlotFile[] {
	const by = byOf(slot);
	const { content } = slot;
	if (content.kind === "substitute") return [{ path: content.path, use: "node", by, apart: false }];
	const files = kindOf(content).making.files?.(content) ?? [];
	return files.flatMap(({ looks: { path }, use, access, apart = false }) =>
		ownName(path, pid) === undefined ? [{ path, use, by, access, apart }] : [],
	);
}

interface SlotFile extends NeededFile {
	/** What its user does with it, where that is known: R_OK, W_OK of access(2). */
	readonly access?: number;
	/** Something opens it besides the process under the descriptor's number. */
	readonly apart: boolean;
}
