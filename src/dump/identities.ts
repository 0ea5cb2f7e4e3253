import { statSync } from "node:fs";
import type { FileIdentity } from "../task/file-identity.ts";
import type { Task } from "../task/task.ts";

/**
 * Which files a stopped process has, by path: what it has open and mapped, its executable and its directories, looked at
 * through the process itself and not by their names. What we may not look at is left out.
 */
export function identitiesOf(pid: number, { files, memory }: Task): ReadonlyMap<string, FileIdentity> {
	const identities = new Map<string, FileIdentity>();
	const note = (path: string, place: string): void => {
		if (identities.has(path)) return;
		try {
			const { dev, ino, birthtimeNs } = statSync(`/proc/${pid}/${place}`, { bigint: true });
			identities.set(path, { device: dev, inode: ino, birth: birthtimeNs });
		} catch (cause) {
			if ((cause as NodeJS.ErrnoException).code === undefined) throw cause;
		}
	};
	for (const { number, description } of files.descriptors) {
		if (description.kind === "file" && !description.unlinked) note(description.path, `fd/${number}`);
		if (description.kind === "fifo" && description.unlinked !== true) note(description.file.path, `fd/${number}`);
	}
	for (const { start, end, backing } of memory.mappings)
		if (backing.kind === "file" && backing.ghost === undefined)
			note(backing.path, `map_files/${start.toString(16)}-${end.toString(16)}`);
	if (memory.executableGhost === undefined && memory.executable !== "") note(memory.executable, "exe");
	if (files.cwd !== undefined) note(files.cwd, "cwd");
	if (files.root !== undefined) note(files.root, "root");
	return identities;
}
