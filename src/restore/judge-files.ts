import { tmpdir } from "node:os";
import type { Agent } from "../agent/agent.ts";
import type { FilePolicy } from "../plan/files/files.ts";
import { directoryOf } from "../plan/files/ghosts.ts";
import type { Lent } from "../plan/inputs.ts";
import type { Opener } from "../plan/opener.ts";
import { sameFile } from "../task/file-identity.ts";
import type { Task } from "../task/task.ts";
import { checkFiles, type HostLook, hostLook, settleMismatches } from "./files.ts";
import { PLACES, placeGhosts } from "./ghosts.ts";
import { ledAstray } from "./led-astray.ts";
import { isSeen, lend, lookAsUser, type Seen, type Sight, takingNameless } from "./sight.ts";
import { type WantedFiles, wantedOf } from "./wanted.ts";

/** The files of a process, found right: what it is verified against when it has them. */
export interface JudgedFiles<P extends FilePolicy> {
	readonly policy: P;
	/** By path. */
	readonly judged: ReadonlyMap<string, Seen>;
	/** Those that its user may not open any more, and that are its own all the same. */
	readonly lent: Lent;
}

/**
 * Looks at every file of a process as its user, and holds it against what is known of it. One that he may not use is given to it
 * only with `trust`, or where it is known to be the very file that it had.
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
	const wanted = wantedOf(task, policy);
	const sights = new Map(await lookAsUser(agent, opener, wanted));
	const lent = new Map<string, number>();
	for (const want of wanted) {
		const sight = await lendTo(agent, task, opener, want, sights.get(want.path), trust);
		if (sight === undefined) continue;
		sights.set(want.path, sight);
		if (sight.lent !== undefined) lent.set(want.path, sight.lent);
	}
	const astray = new Map(
		[...sights].flatMap(([path, sight]) => {
			const text = isSeen(sight) ? ledAstray(path, sight, opener.user.uid) : undefined;
			return text === undefined || trust ? [] : [[path, text]];
		}),
	);
	const look = lookThrough(sights, astray, opener.user.uid);
	const settled = settleMismatches(checkFiles(task, look, policy.fds), policy);
	const directories = (task.memory.ghosts ?? []).map(({ path }) => directoryOf(path));
	const taking =
		directories.length === 0 ? new Set() : await takingNameless(agent, opener, [...directories, tmpdir(), ...PLACES]);
	return {
		policy: { ...policy, ...placeGhosts(task, settled, (directory) => taking.has(directory)) },
		judged: new Map([...sights].flatMap(([path, sight]) => (isSeen(sight) ? [[path, sight] as const] : []))),
		lent,
	};
}

const CLOSED: readonly string[] = ["EACCES", "EPERM"];

async function lendTo(
	agent: Agent,
	{ files: { identities } }: Task,
	opener: Opener,
	want: WantedFiles,
	sight: Sight | undefined,
	trust: boolean,
): Promise<Seen | undefined> {
	if (opener.same || sight === undefined || isSeen(sight) || !CLOSED.includes(sight.errno)) return undefined;
	const known = identities?.get(want.path);
	if (!trust && known === undefined) return undefined;
	const ours = await lend(agent, { ...opener, same: true }, want);
	if (!isSeen(ours)) return undefined;
	if (trust || (known !== undefined && sameFile(known, ours))) return ours;
	if (ours.lent !== undefined) await agent.call("close", ours.lent);
	return undefined;
}

const NOT_THERE: readonly string[] = ["ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP"];

/** What was seen, for whoever judges by paths. What nobody looked at for the user is looked at by name. */
const lookThrough = (
	sights: ReadonlyMap<string, Sight>,
	astray: ReadonlyMap<string, string>,
	uid: number,
): HostLook => ({
	closed: (path) => {
		const led = astray.get(path);
		if (led !== undefined) return led;
		const sight = sights.get(path);
		if (sight === undefined || isSeen(sight) || NOT_THERE.includes(sight.errno)) return undefined;
		return `may not be used by uid ${uid} (${sight.errno})`;
	},
	stat: (path) => {
		const sight = sights.get(path);
		return sight === undefined ? hostLook.stat(path) : isSeen(sight) ? sight : undefined;
	},
	buildId: (path) => {
		const sight = sights.get(path);
		return sight === undefined ? hostLook.buildId(path) : isSeen(sight) ? sight.buildId : undefined;
	},
});
