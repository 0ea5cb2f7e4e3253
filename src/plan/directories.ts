import type { Task } from "../task/task.ts";
import type { Circumstances } from "./circumstances.ts";

/**
 * Working directory, root and umask, which all threads share. Late, for what is opened before goes by the names of the
 * agent; before the credentials, for chroot(2) needs them.
 */
export function planDirectories({ files: { cwd, root, umask } }: Task, { draft }: Circumstances): void {
	const list = draft.list("leader");
	if (umask !== undefined)
		list.add("credentials", "umask", [BigInt(umask)], "permissions that new files lack", { expect: "anything" });
	if (cwd !== undefined) list.add("credentials", "chdir", [draft.path("working directory", cwd)], "working directory");
	// the working directory stays where it is, inside or outside
	if (root !== undefined && root !== "/")
		list.add("credentials", "chroot", [draft.path("root directory", root)], "root directory");
}
