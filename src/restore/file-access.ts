import { namedDirectories } from "../forest/files.ts";
import type { Task } from "../forest/task.ts";
import { ACCESS } from "../linux/fcntl.ts";
import { filesOfSlot } from "../plan/files/needed-files.ts";
import { type FilePolicy, slotsOf } from "../plan/files/slots.ts";
import type { NeededFile } from "../plan/inputs.ts";

/**
 * What a process does with its files that its user opens, by path: R_OK, W_OK, X_OK of access(2).
 *
 * @param needed Its {@link neededFiles}; those of all that are opened together.
 */
export function accessesOf(
	{ memory, files, identity }: Task,
	policy: FilePolicy,
	needed: readonly NeededFile[],
): ReadonlyMap<string, number> {
	const accesses = new Map<string, number>();
	const want = (path: string, access: number): void => {
		accesses.set(path, (accesses.get(path) ?? 0) | access);
	};
	for (const path of memory.files.keys()) want(path, 0);
	for (const { path, use, by } of needed) if (by === "user" && use !== "terminal") want(path, accessFor(use));
	for (const slot of slotsOf(files, policy, () => {})) {
		for (const { path, by, access } of filesOfSlot(slot, identity.pid))
			if (by === "user" && access !== undefined) want(path, access);
	}
	for (const path of namedDirectories(files)) want(path, X_OK);
	return accesses;
}

const { R_OK, W_OK, X_OK } = ACCESS;

const accessFor = (use: NeededFile["use"]): number => (use === "read" ? R_OK : use === "write" ? R_OK | W_OK : 0);
