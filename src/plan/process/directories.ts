import { CAP } from "../../linux/credentials.ts";
import { pathDatum } from "../../program/data.ts";
import type { Task } from "../../task/task.ts";
import type { Context } from "../context.ts";
import { nameFor } from "../files/named.ts";
import type { Part } from "../part.ts";

/**
 * Working directory, root and umask, which all threads share. Late, for what is opened before goes by the names of the
 * agent; with the ids of its user, who may not enter every directory, and of all capabilities the one that chroot(2) needs.
 */
export function planDirectories({ files: { cwd, root, umask } }: Task, context: Context): Part {
	const { draft, actor } = context;
	const list = draft.leader;
	const keeping = 1n << BigInt(CAP.SYS_CHROOT);
	if (umask !== undefined)
		list.add("directories", "umask", [BigInt(umask)], "permissions that new files lack", { expect: "anything" });
	if (cwd !== undefined) {
		const name = nameFor(cwd, "directories", context, keeping);
		list.add("directories", "chdir", [pathDatum("working directory", name)], "working directory");
	}
	// the working directory stays where it is, inside or outside
	if (root !== undefined && root !== "/") {
		const name = nameFor(root, "directories", context, keeping);
		list.add("directories", "chroot", [pathDatum("root directory", name)], "root directory");
	}
	actor.asCaller("directories");
	return context.draft.made();
}
