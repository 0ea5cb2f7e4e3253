import { caution, type Finding } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Credentials, Task } from "../../forest/task.ts";

/**
 * A core holds the real user and group only. Where they are the donor's, its credentials stand whole. Where not, the dead
 * process gets its own ids in every role and nothing that the donor alone had: no groups, and no capabilities unless
 * it was root as well.
 */
export function completeCredentials(
	dead: PartialTask,
	donor: Task,
	report: (finding: Finding) => void,
): (donor: Credentials) => Credentials {
	const { owner } = dead;
	const theirs = donor.threads[0]?.credentials;
	if (owner === undefined || theirs === undefined || (owner.uid === theirs.uid && owner.gid === theirs.gid))
		return (same) => same;
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
