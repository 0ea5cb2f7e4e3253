import { nodeOf } from "../../descriptors/node.ts";
import type { Task } from "../../forest/task.ts";
import { CAP } from "../../linux/credentials.ts";
import { pathDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import { enteredGhost } from "../files/ghosts.ts";
import { actorAt } from "../opener.ts";
import type { Part } from "../part.ts";

/**
 * Root and working directory and umask, which all threads share. Late, for what is opened before goes by /proc; with the ids
 * of its user, who may not enter every directory that is open, and of all capabilities the one that chroot(2) needs.
 */
export function planDirectories({ files: { cwd, root, cwdGhost, rootGhost, umask } }: Task, context: Context): Part {
	const { draft, actor } = context;
	const list = draft.leader;
	const keeping = 1n << BigInt(CAP.SYS_CHROOT);
	if (umask !== undefined)
		list.add("directories", "umask", [BigInt(umask)], "permissions that new files lack", { expect: "anything" });
	const acting = { inputs: context.inputs, actor: actorAt(context.actor, "directories") };
	const enter = (path: string, ghost: number | undefined, what: string): void => {
		if (ghost !== undefined) acting.actor.asUser(keeping);
		const input = ghost === undefined ? nodeOf(path, acting, { keeping }) : context.inputs.made(enteredGhost(ghost));
		list.add("directories", "fchdir", [{ input }], what);
	};
	if (root !== undefined && root !== "/") {
		enter(root, rootGhost, `root directory ${root}`);
		list.add("directories", "chroot", [pathDatum("root directory", ".")], "from here on");
	}
	// it need not lie inside of the root directory
	if (cwd !== undefined) enter(cwd, cwdGhost, `working directory ${cwd}`);
	actor.asCaller("directories");
	return context.draft.made();
}
