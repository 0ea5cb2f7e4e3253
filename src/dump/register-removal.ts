import type { Agent } from "../agent/agent.ts";
import { type BatchArg, EVERY_BIT, label, SIGN, type SyscallBatch } from "../agent/batch.ts";
import { addRemoval, addToEach, hold } from "../agent/register-removal.ts";
import { JOURNAL, JOURNAL_DRAFT, SPENT, STAGING } from "../criu/own-names.ts";
import type { LeftOver } from "../criu/pages/pages.ts";
import { INVENTORY } from "../criu/store/new-images.ts";
import { NEW } from "../criu/store/recover.ts";
import { AT } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";

/** What the agent undoes if our process ends during a dump, one list in force at a time. */
export interface DumpUndo {
	/** Registers what to remove of the images. */
	leaving(left: LeftOver): Promise<void>;
	/** Adds what is to be removed to an undo list that takes the place of the one in force. */
	addRemoval(undo: SyscallBatch): void;
	/** What else is to be undone from now on, and first, with whatever is left then; registered with the next list. */
	also?: ((undo: SyscallBatch) => void) | undefined;
}

/** @throws NecromancerError ERR_HOST, from its functions, where the agent is lost. */
export function dumpUndo(agent: Agent): DumpUndo {
	let removal: ((undo: SyscallBatch) => void) | undefined;
	const held: { readonly directory: object; readonly number: bigint }[] = [];
	const holding = async (directory: { readonly fd: number }): Promise<bigint> => {
		const known = held.find((one) => one.directory === directory);
		if (known !== undefined) return known.number;
		const number = await hold(agent, directory.fd);
		held.push({ directory, number });
		return number;
	};
	const self: DumpUndo = {
		leaving: async (left) => {
			removal = await removalOf(left, holding);
			const undo = agent.undoList();
			self.also?.(undo);
			removal(undo);
			await agent.perform(agent.batch(), { undo });
		},
		addRemoval: (undo) => removal?.(undo),
	};
	return self;
}

async function removalOf(
	left: LeftOver,
	holding: (directory: { readonly fd: number }) => Promise<bigint>,
): Promise<(undo: SyscallBatch) => void> {
	if (left.kind === "directory") {
		const around = await holding(left.around);
		return (undo) => addRemoval(undo, around, left.entry, left.made);
	}
	const directory = await holding(left.directory);
	return (undo) => {
		if (left.kind === "installation") endInstallation(undo, directory);
		undo.call("unlinkat", directory, text(undo, left.lock), 0);
	};
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
