import { caution, type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Credentials, Task } from "../forest/task.ts";
import { AT } from "../linux/auxv.ts";
import { ALL_CAPABILITIES, NOBODY } from "../linux/credentials.ts";

/** The credentials of a thread, of which the donor may have had a counterpart. */
export type CredentialsOf = (lent: Credentials | undefined) => Credentials;

/**
 * A core holds the real user and group only, and which ids the process had when it was started. A donor whose ids are the same lends
 * the rest; one of another user lends nothing that it alone had.
 */
export function understandCredentials(
	dead: PartialTask,
	donor: Task | undefined,
	report: (finding: Finding) => void,
): CredentialsOf {
	const theirs = donor?.threads[0]?.credentials;
	if (theirs === undefined) {
		const own = ownCredentials(dead, report);
		return () => own;
	}
	const lend = lentCredentials(dead, theirs, report);
	return (lent) => lend(lent ?? theirs);
}

/**
 * Where the real ids are the donor's, its credentials stand whole. Where not, the dead process gets its own ids in every role and
 * nothing that the donor alone had: no groups, and no capabilities unless it was root as well.
 */
function lentCredentials(
	{ owner }: PartialTask,
	theirs: Credentials,
	report: (finding: Finding) => void,
): (lent: Credentials) => Credentials {
	if (owner === undefined || (owner.uid === theirs.uid && owner.gid === theirs.gid)) return (same) => same;
	report(
		caution(
			"credentials",
			`uid ${owner.uid}, gid ${owner.gid}`,
			`the donor ran as uid ${theirs.uid}, gid ${theirs.gid}; its groups and capabilities are not given to the dead process`,
		),
	);
	const { uid, gid } = owner;
	return (other) => ({
		...other,
		uid,
		euid: uid,
		suid: uid,
		fsuid: uid,
		gid,
		egid: gid,
		sgid: gid,
		fsgid: gid,
		groups: [],
		...(uid === 0 ? {} : { permitted: 0n, effective: 0n, inheritable: 0n, ambient: 0n }),
	});
}

/**
 * The dead process's ids as its core tells them: the real ones when it died, the effective ones when it was started. No groups,
 * and no capabilities unless it was root.
 */
function ownCredentials(dead: PartialTask, report: (finding: Finding) => void): Credentials {
	const at = (type: number): number | undefined => {
		const value = dead.memory.auxv.find((pair) => pair.type === type)?.value;
		return value === undefined ? undefined : Number(BigInt.asUintN(32, value));
	};
	const role = (real: number | undefined, started: number | undefined, effective: number | undefined) => {
		const own = real ?? started ?? NOBODY;
		// a set-id program, unless it has changed its ids since
		return { own, effective: effective !== undefined && effective !== started && own === started ? effective : own };
	};
	const user = role(dead.owner?.uid, at(AT.UID), at(AT.EUID));
	const group = role(dead.owner?.gid, at(AT.GID), at(AT.EGID));
	const capabilities = user.effective === 0 ? ALL_CAPABILITIES : 0n;
	const who = `uid ${user.own}, gid ${group.own}`;
	if (user.own !== user.effective || group.own !== group.effective)
		report(
			caution(
				"credentials",
				who,
				`started as a set-id program: effective uid ${user.effective}, gid ${group.effective}, as far as a core tells`,
			),
		);
	report(
		note(
			"credentials",
			who,
			`supplementary groups are not in a core: none; ${user.effective === 0 ? "every capability, as root has" : "no capabilities"}`,
		),
	);
	return {
		...{ uid: user.own, euid: user.effective, suid: user.effective, fsuid: user.effective },
		...{ gid: group.own, egid: group.effective, sgid: group.effective, fsgid: group.effective },
		groups: [],
		...{ inheritable: 0n, permitted: capabilities, effective: capabilities, bounding: ALL_CAPABILITIES, ambient: 0n },
		securebits: 0,
		noNewPrivileges: false,
	};
}
