import { caution, type Finding, note } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Credentials } from "../../forest/task.ts";
import { AT } from "../../linux/auxv.ts";
import { ALL_CAPABILITIES, NOBODY } from "../../linux/credentials.ts";

/**
 * The dead process's ids as its core tells them: the real ones when it died, the effective ones when it was started. No groups,
 * and no capabilities unless it was root.
 */
export function deduceCredentials(dead: PartialTask, report: (finding: Finding) => void): Credentials {
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

/** Whom the kernel shows for an id that it cannot name (fs.overflowuid). */
