import type { Credentials } from "../forest/task.ts";
import { CAP, capabilitiesIn, capabilityName } from "../linux/credentials.ts";
import type { HostFacts } from "./host-facts.ts";

/** What decides on rights. */
export type RightsFacts = Pick<HostFacts, "capabilities" | "user" | "userNamespace">;

/** What the restorer can do may depend on where: within the user namespace of the process, or for the whole system. */
type Reach = "own namespace" | "system";

/** Whether the restorer has a capability; yes where it is not known. In a user namespace of its own it has none for the system. */
export const hasCapability = (
	{ capabilities, userNamespace }: RightsFacts,
	capability: number,
	reach: Reach = "own namespace",
): boolean =>
	(reach === "own namespace" || userNamespace === undefined) &&
	(capabilities === undefined || ((capabilities.permitted >> BigInt(capability)) & 1n) === 1n);

/** Whether it can name the executable of a process (PR_SET_MM_MAP). */
export const mayLinkExecutable = (facts: HostFacts): boolean =>
	hasCapability(facts, CAP.CHECKPOINT_RESTORE) || hasCapability(facts, CAP.SYS_ADMIN);

/** Whether a file that the restorer makes can be given to somebody. */
export function mayGive({ uid, gid }: { readonly uid: number; readonly gid: number }, facts: HostFacts): boolean {
	const { user, userNamespace } = facts;
	if (userNamespace !== undefined) return uid === userNamespace.uid && gid === userNamespace.gid;
	if (user === undefined || hasCapability(facts, CAP.CHOWN)) return true;
	return uid === user.uid && (gid === user.gid || user.groups.includes(gid));
}

/** The credentials that a process can be given here, instead of those that it had. */
export interface Attainable {
	readonly credentials: Credentials;
	/** Whether its supplementary groups can be set at all. */
	readonly setsGroups: boolean;
	/** Whether capabilities can be taken from its bounding set. */
	readonly narrows: boolean;
	/** What is not as it was, with what it is now. */
	readonly lost: readonly string[];
}

/**
 * Credentials come from those of the restorer, and only with capabilities can they be others. Without, the process is the
 * restorer's own user, never somebody with more rights.
 */
export function attainable(wanted: Credentials, facts: RightsFacts): Attainable {
	const lost: string[] = [];
	const { user, userNamespace } = facts;
	const { permitted = ALL, bounding = ALL } = facts.capabilities ?? {};

	const only = (kind: "uid" | "gid"): number | undefined =>
		userNamespace?.[kind] ??
		(hasCapability(facts, kind === "uid" ? CAP.SETUID : CAP.SETGID) ? undefined : user?.[kind]);
	const asOne = (kind: "uid" | "gid", what: string): Pick<Credentials, "uid" | "euid" | "suid" | "fsuid"> => {
		const ids =
			kind === "uid"
				? { uid: wanted.uid, euid: wanted.euid, suid: wanted.suid, fsuid: wanted.fsuid }
				: { uid: wanted.gid, euid: wanted.egid, suid: wanted.sgid, fsuid: wanted.fsgid };
		const one = only(kind);
		const others = new Set(Object.values(ids).filter((id) => id !== one));
		if (one === undefined || others.size === 0) return ids;
		lost.push(`was ${what} ${[...others].join(", ")}, which the restorer cannot give; it is ${one} now`);
		return { uid: one, euid: one, suid: one, fsuid: one };
	};
	const users = asOne("uid", "user");
	const groups = asOne("gid", "group");

	const setsGroups = user === undefined || (userNamespace === undefined && hasCapability(facts, CAP.SETGID));
	if (!setsGroups && !sameSet(wanted.groups, user.groups))
		lost.push(`was in the groups ${list(wanted.groups)}; it keeps those of the restorer, ${list(user.groups)}`);

	const narrows = hasCapability(facts, CAP.SETPCAP);
	if (!narrows && wanted.securebits !== 0)
		lost.push(`had securebits 0x${wanted.securebits.toString(16)}, which need CAP_SETPCAP; it has none now`);
	if (!narrows && facts.capabilities !== undefined && (bounding & ~wanted.bounding) !== 0n)
		lost.push(`could never get ${names(bounding & ~wanted.bounding)}; without CAP_SETPCAP it may by exec`);
	const had = wanted.permitted & ~permitted;
	if (had !== 0n) lost.push(`had ${names(had)}, which the restorer cannot give`);
	const inheritable = narrows ? bounding : permitted & bounding;
	if ((wanted.inheritable & ~inheritable & ~had) !== 0n)
		lost.push(`could pass on ${names(wanted.inheritable & ~inheritable & ~had)}; without CAP_SETPCAP it cannot`);

	return {
		credentials: {
			...wanted,
			...users,
			...{ gid: groups.uid, egid: groups.euid, sgid: groups.suid, fsgid: groups.fsuid },
			securebits: narrows ? wanted.securebits : 0,
			effective: wanted.effective & permitted,
			permitted: wanted.permitted & permitted,
			inheritable: wanted.inheritable & inheritable,
		},
		setsGroups,
		narrows,
		lost,
	};
}

const ALL = (1n << 64n) - 1n;

function names(set: bigint): string {
	const bits = capabilitiesIn(set);
	return bits.length > MOST_NAMES ? `${bits.length} capabilities` : bits.map(capabilityName).join(", ");
}

/** Of root's forty nobody wants to read all. */
const MOST_NAMES = 5;

const list = (groups: readonly number[]): string => (groups.length === 0 ? "none" : groups.join(", "));

const sameSet = (a: readonly number[], b: readonly number[]): boolean =>
	a.every((id) => b.includes(id)) && b.every((id) => a.includes(id));
