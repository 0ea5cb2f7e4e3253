import { kindOf } from "../descriptors/kinds.ts";
import type { FileIdentity } from "../forest/file-identity.ts";
import type { Task } from "../forest/task.ts";
import { ifShown } from "../proc/if-shown.ts";
import { type Link, mapLink, statLink } from "../proc/links.ts";

/**
 * Which files a stopped process has, by path: what it has open and mapped, its executable and its directories, looked at
 * through the process itself and not by their names. What we may not look at is left out.
 */
export function identitiesOf(pid: number, { files, memory }: Task): ReadonlyMap<string, FileIdentity> {
	const identities = new Map<string, FileIdentity>();
	const note = (path: string, link: Link): void => {
		if (identities.has(path)) return;
		const stat = ifShown(() => statLink(pid, link));
		if (stat !== undefined) identities.set(path, { device: stat.dev, inode: stat.ino, birth: stat.birthtimeNs });
	};
	for (const { number, description } of files.descriptors) {
		for (const { looks, unlinked = false, watched = false } of kindOf(description).making.files?.(description) ?? [])
			if (!unlinked && !watched) note(looks.path, `fd/${number}`);
	}
	for (const { backing, ...range } of memory.mappings)
		if (backing.kind === "file" && backing.ghost === undefined) note(backing.path, mapLink(range));
	if (memory.executableGhost === undefined && memory.executable !== "") note(memory.executable, "exe");
	if (files.cwd !== undefined && files.cwdGhost === undefined) note(files.cwd, "cwd");
	if (files.root !== undefined && files.rootGhost === undefined) note(files.root, "root");
	return identities;
}
