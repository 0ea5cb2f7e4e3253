import { defined } from "../bytes/defined.ts";
import { type Finding, note } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Identity, Task } from "../forest/task.ts";

/**
 * The ids of a dead process. Alone, it has those of its core, which where they are missing (gdb) are those of a process of its own.
 */
export const understandIdentity = (
	dead: PartialTask,
	donor: Task | undefined,
	report: (finding: Finding) => void,
): Identity => {
	const { pid, ppid, pgid, sid, comm } = dead;
	return donor === undefined
		? { pid, ppid: ppid ?? 1, pgid: pgid ?? pid, sid: sid ?? pid, comm }
		: besideDonor(dead, donor, report);
};

/**
 * The dead process's ids. Its session leader is most likely gone, and CRIU restores a member of a foreign session only
 * with --shell-job; so where the donor led its own session, the dead process will too.
 */
function besideDonor(dead: PartialTask, donor: Task, report: (finding: Finding) => void): Identity {
	const { pid, comm } = dead;
	const { ppid, oomScoreAdjust, childSubreaper } = donor.identity;
	const lent = defined({ oomScoreAdjust, childSubreaper });
	const led = donor.identity.sid === donor.identity.pid;
	if (led) {
		if (dead.sid !== undefined && dead.sid !== pid)
			report(
				note(
					"session",
					`session ${dead.sid}`,
					`the donor led its own session and so will the process: session and group ${pid}`,
				),
			);
		return { pid, ppid, comm, pgid: pid, sid: pid, ...lent };
	}
	const pgid = dead.pgid ?? (donor.identity.pgid === donor.identity.pid ? pid : donor.identity.pgid);
	const sid = dead.sid ?? donor.identity.sid;
	return { pid, ppid, comm, pgid, sid, ...lent };
}
