import type { Agent } from "../agent/agent.ts";
import { type BatchArg, EVERY_BIT, label, type SyscallBatch } from "../agent/batch.ts";
import { addHeld, addToEach, registerRemoval } from "../agent/register-removal.ts";
import { JOURNAL, JOURNAL_DRAFT, SPENT, STAGING } from "../criu/own-names.ts";
import type { LeftOver } from "../criu/pages/pages.ts";
import { INVENTORY } from "../criu/store/new-images.ts";
import { NEW } from "../criu/store/recover.ts";
import { AT } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";

/**
 * Registers an undo list that removes the files of an unfinished dump if our process ends.
 *
 * @param also adds calls to the undo list that come first.
 */
export async function registerImagesRemoval(
	agent: Agent,
	left: LeftOver,
	also?: (undo: SyscallBatch) => void,
): Promise<void> {
	if (left.kind === "directory") {
		const { around, entry, made: directory } = left;
		return registerRemoval(agent, around.fd, entry, { directory, also });
	}
	const [undo, batch] = [agent.undoList(), agent.batch()];
	also?.(undo);
	const directory = { valueOf: addHeld(batch, undo, left.directory.fd) };
	if (left.kind === "installation") endInstallation(undo, directory);
	undo.call("unlinkat", directory, text(undo, left.lock), 0);
	await agent.perform(batch, { undo });
}

/** See install.ts. The directory is ours alone, so each name in it leads to what we have made. */
function endInstallation(undo: SyscallBatch, directory: BatchArg): void {
	const remove = (entry: string, flags: number = 0) => undo.call("unlinkat", directory, text(undo, entry), flags);
	const move = (from: string, to: string) =>
		undo.call("renameat", directory, text(undo, from), directory, text(undo, to));
	const flags = O.RDONLY | O.DIRECTORY | O.NOFOLLOW | O.CLOEXEC;
	const fresh = { valueOf: undo.call("openat", directory, text(undo, `${STAGING}/${NEW}`), flags, 0) };
	const [undecided, whole, over] = [label("undecided"), label("whole"), label("over")];
	const decided = undo.call("openat", directory, text(undo, `${STAGING}/${JOURNAL}`), O.PATH | O.CLOEXEC, 0);
	undo.branch({ valueOf: decided }, SIGN, SIGN, undecided);

	// all is written: it takes its place, and the inventory comes last, when all the others have come
	const [waiting, place] = [`${STAGING}/${INVENTORY}`, `${STAGING}/${NEW}/${INVENTORY}`];
	move(place, waiting);
	addToEach(undo, fresh, (name) => undo.call("renameat", fresh, name, directory, name));
	const emptied = remove(`${STAGING}/${NEW}`, AT.REMOVEDIR);
	undo.branch({ valueOf: emptied }, EVERY_BIT, 0, whole);
	// the next dump or patch there will do it
	move(waiting, place);
	undo.jump(over);
	undo.mark(whole);
	move(waiting, INVENTORY);

	undo.mark(undecided);
	addToEach(undo, fresh, (name) => undo.call("unlinkat", fresh, name, 0));
	for (const staging of [STAGING, SPENT]) {
		for (const file of [JOURNAL, JOURNAL_DRAFT]) remove(`${staging}/${file}`);
		remove(`${staging}/${NEW}`, AT.REMOVEDIR);
		remove(staging, AT.REMOVEDIR);
	}
	undo.mark(over);
}

const text = (undo: SyscallBatch, name: string) => undo.put(Buffer.from(`${name}\0`), 1);

const SIGN = 1n << 63n;
