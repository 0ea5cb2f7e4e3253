import { startAgent } from "../../../src/agent/start-agent.ts";
import type { PartialTask } from "../../../src/forest/partial-task.ts";
import { ANYWHERE, measureUser } from "../../../src/host/facts.ts";
import { type OpenFiles, openFiles } from "../../../src/inputs/open-files.ts";
import { openerOf } from "../../../src/plan/opener.ts";
import { FIRST_INPUT_FD } from "../../../src/program/abi.ts";
import type { FileSearch } from "../../../src/raise/file-search.ts";
import { type FoundFiles, openMappedFiles } from "../../../src/raise/mapped-files.ts";
import { openTrees } from "../../../src/raise/trees.ts";
import { smallThread } from "../builders/small-task.ts";

/** A search for mapped files, and what a test wants to be so. */
export interface SearchCase extends FileSearch {
	/** As whom files are opened; as ourselves when absent. */
	readonly reader?: { readonly uid: number; readonly gid: number };
	/** Nanoseconds since 1970. */
	readonly writtenAt?: bigint;
	/** Called while the files are open. */
	readonly use?: (files: OpenFiles, found: FoundFiles) => void;
}

/** Opens the mapped files of a dead process by an agent of their own, as a raise does. */
export async function openMapped(
	dead: PartialTask,
	{ reader, writtenAt, use, ...search }: SearchCase,
): Promise<FoundFiles> {
	const trees = openTrees(search);
	const agent = await startAgent(ANYWHERE, { streams: "ignore", inputs: trees.descriptors }).finally(trees.close);
	const files = openFiles(agent, openerOf({ threads: threadsOf(reader) }, measureUser(agent)), false);
	try {
		const places = { ...trees.places(FIRST_INPUT_FD), ...(writtenAt === undefined ? {} : { writtenAt }) };
		const found = await openMappedFiles(dead, files, search, places);
		use?.(files, found);
		return found;
	} finally {
		files.closeContents();
		await agent.close();
	}
}

function threadsOf(reader: SearchCase["reader"]) {
	if (reader === undefined) return [];
	const { uid, gid } = reader;
	const { credentials } = smallThread();
	const none = { groups: [], inheritable: 0n, permitted: 0n, effective: 0n, ambient: 0n };
	const ids = { uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid };
	return [{ credentials: { ...credentials, ...ids, ...none } }];
}
