import { refuse } from "../errors.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Credentials } from "../forest/task.ts";
import { AT } from "../linux/auxv.ts";
import { ALL_CAPABILITIES, capabilitiesIn, capabilityName, NOBODY } from "../linux/credentials.ts";

/** A user, and the group where it is known. */
export interface Owner {
	readonly uid: number;
	readonly gid?: number;
}

/** What this process may do about user and group ids. */
export interface OurRights {
	readonly uid: number;
	readonly gid: number;
	/** A bit each: those that a process of ours can have. */
	readonly capabilities: bigint;
	/** Whether a process of ours may be given these ids. */
	mayBecome(uid: number, gid: number): boolean;
}

export interface PrivilegeQuestion {
	/** What messages call the core. */
	readonly name: string;
	readonly dead: Pick<PartialTask, "owner" | "memory">;
	/** Whose the core is: see `ownerOfCore`. */
	readonly core: Owner;
	readonly us: OurRights;
	/** Others than its owner can have written it. */
	readonly shared?: boolean;
	/** Believe the ids in the core, whoever wrote it (--trust). */
	readonly trust: boolean;
	/** The group of a user's own, where the user is known. */
	readonly primaryGroup: (uid: number) => number | undefined;
}

export interface Privilege {
	readonly credentials: Credentials;
	/** It may be somebody else's core, and what runs would have our rights: we cannot lower them. */
	readonly foreign: boolean;
	readonly findings: readonly Finding[];
}

/**
 * The credentials of a process raised from a core. Whoever writes a core decides what runs, and as whom: so it gets no more
 * rights than its writer.
 *
 * - The core is an ordinary user's: that user, whatever the core says, in that user's primary group. No capabilities.
 * - The core is root's, who may say so: the user in the core, in that user's primary group. But not root: a core of a root
 *   process looks like one that root copied, or stored for others.
 * - With `trust`: user and group in the core, whosever it is; our capabilities where that is root.
 * - We may not become that user: our own user and group, no capabilities. Then a core of another user has ours.
 *
 * Always: real, effective and saved ids are one (a core has the real ones only), no supplementary groups (it has none), no
 * securebits, and no_new_privs: programs it executes gain nothing by set-user-ID bits or file capabilities. Every departure
 * from what the core says is a finding.
 *
 * @throws NecromancerError ERR_UNTRUSTED where it would be root, or would have root's id, or another's than ours and several
 *   can have written the core, and that is not trusted.
 */
export function privilegeOf(question: PrivilegeQuestion): Privilege {
	const { name, dead, core, shared = false, us, trust, primaryGroup } = question;
	const findings: Finding[] = [];
	const recorded: Owner = dead.owner ?? core;
	const uid = trust || core.uid === 0 ? recorded.uid : core.uid;
	const own = recorded.uid === uid && (trust || core.uid === 0) ? recorded.gid : core.gid;
	const gid = trust ? (own ?? NOBODY) : (primaryGroup(uid) ?? own ?? NOBODY);
	const allowed = us.mayBecome(uid, gid);
	const ids = allowed ? { uid, gid } : { uid: us.uid, gid: us.gid };
	const root = allowed && uid === 0;
	if (ids.uid === 0 && !trust)
		refuse("ERR_UNTRUSTED", {
			subject: name,
			finding: "what it holds would live as root, and nothing tells what the kernel wrote from what anybody wrote",
			expectation: "expected a process of a user with less rights",
			remedy: "give --trust if you know where it comes from: it then runs as root",
		});
	if (shared && !trust && ids.uid !== us.uid)
		refuse("ERR_UNTRUSTED", {
			subject: name,
			finding: `can have been written by uid ${core.uid}, everybody with the permission of its group or of all`,
			expectation: "expected one user, and nobody besides",
			remedy: "give --trust if you know where it comes from",
		});
	const said =
		dead.owner === undefined ? "the core does not say whose the process was" : `it was ${nameOf(dead.owner)}`;
	const tell = (weight: typeof note, text: string): void =>
		void findings.push(weight("credentials", nameOf(ids), text));
	if (!allowed)
		tell(
			caution,
			`${said}, but only root can make a process of ${nameOf({ uid, gid })}: what the core runs has the rights of whoever raises it`,
		);
	else if (!trust && core.uid !== 0 && dead.owner?.uid !== uid)
		tell(caution, `${said}, but the core is uid ${core.uid}'s, and gets no more rights; --trust gives it those it had`);
	else if (dead.owner !== undefined && dead.owner.gid !== gid)
		tell(note, `its group was ${dead.owner.gid}; it gets the user's own`);
	if (wasSetUid(dead))
		tell(
			caution,
			"the program was set-user-ID or the like; its effective ids are not in a core, it has the real ones only",
		);
	const lacking = root ? capabilitiesIn(ALL_CAPABILITIES & ~us.capabilities) : [];
	if (lacking.length > 0)
		tell(note, `of root's capabilities it has those that we have: not ${lacking.map(capabilityName).join(", ")}`);
	tell(note, "supplementary groups and single capabilities are not in a core; no_new_privs is set");
	const foreign = (!allowed && core.uid !== us.uid) || shared;
	return { credentials: credentialsOf(ids, root ? ALL_CAPABILITIES & us.capabilities : 0n), foreign, findings };
}

const nameOf = ({ uid, gid }: Owner): string => `uid ${uid}${gid === undefined ? "" : `, gid ${gid}`}`;

/** AT_SECURE, which dynamic linkers go by, or ids that differed when the program started. */
function wasSetUid({ memory: { auxv } }: PrivilegeQuestion["dead"]): boolean {
	const value = (type: number): bigint | undefined => auxv.find((pair) => pair.type === type)?.value;
	return (value(AT.SECURE) ?? 0n) !== 0n || value(AT.UID) !== value(AT.EUID) || value(AT.GID) !== value(AT.EGID);
}

function credentialsOf({ uid, gid }: Required<Owner>, capabilities: bigint): Credentials {
	return {
		...{ uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid },
		groups: [],
		inheritable: 0n,
		permitted: capabilities,
		effective: capabilities,
		// with no_new_privs execve(2) gains nothing: the bounding set may stay full
		bounding: ALL_CAPABILITIES,
		ambient: 0n,
		securebits: 0,
		noNewPrivileges: true,
	};
}

/**
 * The owner of a core: that of its file, or of its name where a core handler stored it. Handlers run as root and own all files;
 * the ids in a core are those inside the process's user namespace, where anybody can be root.
 *
 * systemd-coredump names its files core.COMM.UID.BOOT.PID.TIME, with the uid from outside.
 *
 * @param name The file's, without directories.
 */
export function ownerOfCore(name: string, file: Required<Owner>): Owner {
	const [, uid] = /^core\..+\.(\d{1,10})\.[0-9a-f]{32}\.\d+\.\d+(?:\.(?:zst|lz4|xz|gz))?$/s.exec(name) ?? [];
	return file.uid === 0 && uid !== undefined && Number(uid) !== 0 ? { uid: Number(uid) } : file;
}
