import { sameBuildId } from "../../criu/build-id.ts";
import { refuse } from "../../errors.ts";
import { type Finding, loss } from "../../finding.ts";
import type { PartialTask } from "../../forest/partial-task.ts";
import type { Task } from "../../forest/task.ts";

/**
 * Refuses a donor of another program, and one whose libraries are other builds: its handlers and control blocks would be
 * carried to wrong places. Build-ids decide where both sides have them, paths otherwise.
 *
 * @throws NecromancerError ERR_DONOR_MISMATCH, ERR_BINARY_MISMATCH (all differences at once)
 */
export function requireSameProgram(
	dead: PartialTask,
	donor: Task,
	allowMismatch: boolean,
	report: (finding: Finding) => void,
): void {
	const own = dead.memory.executable;
	const theirs = donor.memory.executable;
	const ownId = dead.memory.buildIds.get(own);
	const theirId = donor.memory.files.get(theirs)?.buildId;
	if (own !== theirs && (ownId === undefined || theirId === undefined || !sameBuildId(ownId, theirId)))
		refuse("ERR_DONOR_MISMATCH", {
			subject: dead.name,
			finding: `is of ${own}${ownId === undefined ? "" : ` (build-id ${ownId})`}`,
			expectation: `but the donor is ${theirs}${theirId === undefined ? "" : ` (build-id ${theirId})`}`,
			remedy: "dump a donor of the same program",
		});
	const different = [...dead.memory.buildIds].flatMap(([path, id]) => {
		const donors = donor.memory.files.get(path)?.buildId;
		return donors === undefined || sameBuildId(donors, id)
			? []
			: [`${path} has build-id ${id}, the donor's has ${donors}`];
	});
	if (different.length === 0) return;
	if (!allowMismatch)
		refuse("ERR_BINARY_MISMATCH", {
			subject: dead.name,
			finding: different.join("; "),
			expectation: "expected the same builds",
			remedy: "dump a donor of the same builds, or insist with --allow-mismatch",
		});
	for (const text of different) report(loss("binary-differs", dead.name, text));
}
