import type { FileWriters } from "../bytes/source.ts";
import { capabilitiesIn, capabilityName } from "../linux/capability.ts";
import type { Credentials, GhostFile, Memory } from "../task/task.ts";

/** Whose word something is, root's aside. */
export interface Authors {
	readonly uids: readonly number[];
	/** Who else can have written some of it nobody knows: it was open to a group, or to all. */
	readonly shared: boolean;
}

/** @param alone Whether nobody but that user is in that group. */
export const authorsOf = (writers: readonly FileWriters[], alone: (uid: number, gid: number) => boolean): Authors => ({
	uids: [...new Set(writers.map(({ uid }) => uid))].filter((uid) => uid !== 0),
	shared: writers.some(
		({ uid, group, anybody }) => anybody || (group !== undefined && group !== 0 && !alone(uid, group)),
	),
});

/** Those of some writers whose word is not root's alone, each once. */
export function besidesRoot(
	writers: readonly FileWriters[],
	alone: (uid: number, gid: number) => boolean,
): readonly FileWriters[] {
	const others = writers.filter((writer) => {
		const { uids, shared } = authorsOf([writer], alone);
		return uids.length > 0 || shared;
	});
	return [...new Map(others.map((it) => [`${it.uid} ${it.group} ${it.anybody}`, it])).values()];
}

/** The one user whose word it is. */
export const loneAuthor = ({ uids: [uid, ...others], shared }: Authors): number | undefined =>
	others.length === 0 && !shared ? uid : undefined;

export const authorsText = ({ uids, shared }: Authors): string =>
	[
		...uids.map((uid) => `uid ${uid}`),
		...(shared ? ["everybody with the permission of its group or of all"] : []),
	].join(", ");

/** What of credentials a user has not, in words. @param groups All of his. */
export function beyondUser(credentials: Credentials, uid: number, groups: readonly number[]): string[] {
	const users = [credentials.uid, credentials.euid, credentials.suid, credentials.fsuid].filter((id) => id !== uid);
	const strange = groupsIn(credentials).filter((id) => !groups.includes(id));
	return [
		...[...new Set(users)].map((id) => `uid ${id}`),
		...[...new Set(strange)].map((id) => `gid ${id}`),
		...capabilityNames(credentials),
	];
}

export const groupsIn = ({ gid, egid, sgid, fsgid, groups }: Credentials): readonly number[] => [
	...[gid, egid, sgid, fsgid],
	...groups,
];

export function capabilityNames({ permitted, effective, inheritable, ambient }: Credentials): string[] {
	const capabilities = capabilitiesIn(permitted | effective | inheritable | ambient);
	return capabilities.length > MOST_NAMES ? [`${capabilities.length} capabilities`] : capabilities.map(capabilityName);
}

const MOST_NAMES = 5;

/**
 * Files without a name that are another's than a user's, and that not everybody may read: made for him they would be his, with what
 * is in them.
 */
export const closedGhosts = ({ ghosts = [] }: Pick<Memory, "ghosts">, uid: number): readonly GhostFile[] =>
	ghosts.filter((ghost) => ghost.uid !== uid && (ghost.mode & 0o004) === 0);
