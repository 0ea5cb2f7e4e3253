import type { FileWriters } from "../bytes/source.ts";
import { pipeOf } from "../descriptors/kinds.ts";
import type { Files } from "../forest/files.ts";
import type { Credentials, Memory } from "../forest/task.ts";
import { capabilitiesIn, capabilityName } from "../linux/credentials.ts";

/** The users who can have written something, besides root. */
export interface Authors {
	readonly uids: readonly number[];
	/** It was writable by a group or by all, so more users may have written it. */
	readonly shared: boolean;
}

/** @param alone Whether nobody but that user is in that group. */
export const authorsOf = (writers: readonly FileWriters[], alone: (uid: number, gid: number) => boolean): Authors => ({
	uids: [...new Set(writers.map(({ uid }) => uid))].filter((uid) => uid !== 0),
	shared: writers.some(
		({ uid, group, anybody }) => anybody || (group !== undefined && group !== 0 && !alone(uid, group)),
	),
});

/** The writers other than root, each once. */
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

/** The only user who can have written it, if there is just one. */
export const loneAuthor = ({ uids: [uid, ...others], shared }: Authors): number | undefined =>
	others.length === 0 && !shared ? uid : undefined;

export const authorsText = ({ uids, shared }: Authors): string =>
	[
		...uids.map((uid) => `uid ${uid}`),
		...(shared ? ["everybody with the permission of its group or of all"] : []),
	].join(", ");

/** Which ids and capabilities of `credentials` a user does not have, in words. @param groups All of his. */
export function rightsBeyond(credentials: Credentials, uid: number, groups: readonly number[]): string[] {
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

/** What images hold besides a process's own memory. */
export interface KeptBy {
	readonly memory: Partial<Pick<Memory, "ghosts" | "objects">>;
	readonly files?: Pick<Files, "descriptors">;
	/** The threads of the images, for their uids. */
	readonly threads?: readonly { readonly credentials: Pick<Credentials, "uid"> }[];
}

/** Something that holds another user's bytes. */
export interface Closed {
	readonly subject: string;
	readonly uid: number;
}

/**
 * Contents of images that belong to another user, and that a restore would make readable for this one: unlinked files that not
 * everybody may read, memfds, and bytes in pipes of another's process.
 */
export function contentsClosedTo(uid: number, { memory, files, threads = [] }: KeptBy): readonly Closed[] {
	const { ghosts = [], objects = [] } = memory;
	const other = threads.find(({ credentials }) => credentials.uid !== uid)?.credentials.uid;
	const pipes = (files?.descriptors ?? []).map(({ description }) => pipeOf(description));
	const filled = new Set(pipes.flatMap((pipe) => (pipe?.content === undefined ? [] : [pipe.id])));
	return [
		...ghosts
			.filter((ghost) => ghost.uid !== uid && (ghost.mode & 0o004) === 0)
			.map((ghost) => ({ subject: `${ghost.path}, deleted`, uid: ghost.uid })),
		...objects.flatMap(({ name, uid: owner, contents }) =>
			name === undefined || owner === undefined || owner === uid || contents.length === 0
				? []
				: [{ subject: `memfd ${name}`, uid: owner }],
		),
		...(other === undefined ? [] : [...filled].map((id) => ({ subject: `pipe ${id}`, uid: other }))),
	];
}
