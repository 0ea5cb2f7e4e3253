import { lstatSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Agent } from "../agent/agent.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { directoryOf } from "../plan/files/ghosts.ts";
import type { Lent } from "../plan/inputs.ts";
import type { Opener } from "../plan/opener.ts";
import { foreignLinkOwner, resolveInRoot } from "../rights/resolve-in-root.ts";
import { sameFile } from "../task/file-identity.ts";
import type { Task } from "../task/task.ts";
import { checkFiles, type HostLook, hostLook, settleMismatches } from "./files.ts";
import { PLACES, placeGhosts } from "./ghosts.ts";
import {
	type FileLookup,
	type FoundFile,
	isFound,
	lookUpAndLend,
	lookUpAsUser,
	supportingTmpfile,
} from "./look-up-files.ts";
import { type NeededFile, neededFiles } from "./needed-files.ts";

/** The files of a process after they were judged; verify compares its open files with them. */
export interface JudgedFiles<P extends FilePolicy> {
	readonly policy: P;
	/** By path. */
	readonly judged: ReadonlyMap<string, FoundFile>;
	/** Files that its user may not open any more but that it had: handed to it as fds. */
	readonly lent: Lent;
}

/**
 * Looks up every file of a process with its user's rights and compares it with what the task says of it. A file that he may not
 * open is handed over only with `trust`, or if device, inode and birth time prove that it is the file that the process had.
 *
 * @throws NecromancerError ERR_FILE_MISMATCH with all that are not right.
 */
export async function judgeFiles<P extends FilePolicy>(
	agent: Agent,
	task: Task,
	opener: Opener,
	policy: P,
	trust: boolean,
): Promise<JudgedFiles<P>> {
	const wanted = neededFiles(task, policy);
	const lookups = new Map(await lookUpAsUser(agent, opener, wanted));
	const lent = new Map<string, number>();
	for (const want of wanted) {
		const lookup = await lendTo(agent, task, opener, want, lookups.get(want.path), trust);
		if (lookup === undefined) continue;
		lookups.set(want.path, lookup);
		if (lookup.lent !== undefined) lent.set(want.path, lookup.lent);
	}
	const links = new Map(
		[...lookups].flatMap(([path, lookup]) => {
			const text = isFound(lookup) ? strangersLink(path, lookup, opener.user.uid) : undefined;
			return text === undefined || trust ? [] : [[path, text]];
		}),
	);
	const look = lookFrom(lookups, links, opener.user.uid);
	const settled = settleMismatches(checkFiles(task, look, policy.fds), policy);
	const directories = (task.memory.ghosts ?? []).map(({ path }) => directoryOf(path));
	const taking =
		directories.length === 0
			? new Set()
			: await supportingTmpfile(agent, opener, [...directories, tmpdir(), ...PLACES]);
	return {
		policy: { ...policy, ...placeGhosts(task, settled, (directory) => taking.has(directory)) },
		judged: new Map([...lookups].flatMap(([path, lookup]) => (isFound(lookup) ? [[path, lookup] as const] : []))),
		lent,
	};
}

const CLOSED: readonly string[] = ["EACCES", "EPERM"];

async function lendTo(
	agent: Agent,
	{ files: { identities } }: Task,
	opener: Opener,
	want: NeededFile,
	lookup: FileLookup | undefined,
	trust: boolean,
): Promise<FoundFile | undefined> {
	if (opener.same || lookup === undefined || isFound(lookup) || !CLOSED.includes(lookup.errno)) return undefined;
	const known = identities?.get(want.path);
	if (!trust && known === undefined) return undefined;
	const ours = await lookUpAndLend(agent, { ...opener, same: true }, want);
	if (!isFound(ours)) return undefined;
	if (trust || (known !== undefined && sameFile(known, ours))) return ours;
	if (ours.lent !== undefined) await agent.call("close", ours.lent);
	return undefined;
}

const NOT_THERE: readonly string[] = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** The lookups as a `HostLook`; paths that were not looked up as the user are looked up by name. */
const lookFrom = (
	lookups: ReadonlyMap<string, FileLookup>,
	links: ReadonlyMap<string, string>,
	uid: number,
): HostLook => ({
	closed: (path) => {
		const link = links.get(path);
		if (link !== undefined) return link;
		const lookup = lookups.get(path);
		if (lookup === undefined || isFound(lookup) || NOT_THERE.includes(lookup.errno)) return undefined;
		return `may not be used by uid ${uid} (${lookup.errno})`;
	},
	stat: (path) => {
		const lookup = lookups.get(path);
		return lookup === undefined ? hostLook.stat(path) : isFound(lookup) ? lookup : undefined;
	},
	buildId: (path) => {
		const lookup = lookups.get(path);
		return lookup === undefined ? hostLook.buildId(path) : isFound(lookup) ? lookup.buildId : undefined;
	},
});

/**
 * Whether a third user may have redirected a path: by a symbolic link that is neither root's, nor the process's user's, nor
 * ours. Permissions stop what the user may not open; this stops being sent to another file that he may open.
 *
 * @param seen What was found under the path before. What is opened later is compared with it, so changing links meanwhile gains
 *   nothing.
 * @returns who, and how, in words.
 */
export function strangersLink(
	path: string,
	seen: Pick<FoundFile, "device" | "inode">,
	user: number,
): string | undefined {
	const reached = resolveInRoot("/", path);
	// a path that we may not resolve ourselves is reached with the user's own rights
	if (reached === undefined) return undefined;
	const stranger = foreignLinkOwner(reached, user);
	if (stranger !== undefined) return `is reached by a link of user ${stranger}'s`;
	const end = lstatSync(Buffer.from(bytesFromText(reached.path)), { bigint: true, throwIfNoEntry: false });
	if (end?.dev === seen.device && end.ino === seen.inode) return undefined;
	return "became another file while it was looked at";
}
