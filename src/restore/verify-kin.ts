import { hex } from "../bytes/address.ts";
import { WAIT_STATUS } from "../linux/wait.ts";
import type { Plan, PlannedZombie } from "../plan/plan.ts";
import { CALLERS_SESSION } from "../plan/process/standings.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import type { IdChoice } from "./ids.ts";
import { familyOf, type Member, type Members } from "./members.ts";

/** Differences between whose child a process is, in which session and group, and what was planned, in words. */
export const kinDifferences = ({ pid, planned, isRoot }: Member, here: Members["here"], ids: IdChoice): string[] =>
	asFound(() => relations(pid, planned, here, ids, isRoot));

/** The same of what has ended, with its status; and whoever is there that was not planned. */
export function endedDifferences(
	{ members, here }: Members,
	{ zombies = [] }: Pick<Plan, "zombies">,
	ids: IdChoice,
): string[] {
	const [root] = members;
	if (root === undefined) return [];
	const ended = zombies.map((zombie) => ({ zombie, pid: here(zombie.pid) }));
	const expected = new Set([...members.map(({ pid }) => pid), ...ended.map(({ pid }) => pid)]);
	const strays = familyOf(root.pid).filter((pid) => !expected.has(pid));
	return [
		...ended.flatMap(({ zombie, pid }) =>
			[...asFound(() => relations(pid, zombie, here, ids)), ...asFound(() => endOf(pid, zombie))].map(
				(text) => `process ${zombie.pid}: ${text}`,
			),
		),
		...strays.map((pid) => `process ${pid} is there, and was not planned`),
	];
}

function endOf(pid: number, { status }: PlannedZombie): string[] {
	const { state, exitStatus } = readStat(pid);
	if (state !== "Z") return [`its state is ${state}, expected Z`];
	const ended = exitStatus & WAIT_STATUS;
	return ended === status ? [] : [`it has ended with the status ${hex(ended)}, expected ${hex(status)}`];
}

function relations(
	pid: number,
	planned: Pick<PlannedZombie, "ppid" | "pgid" | "sid">,
	here: Members["here"],
	ids: IdChoice,
	isRoot = false,
): string[] {
	const differences: string[] = [];
	const differ = (what: string, is: number | undefined, expected: number): void => {
		if (is !== expected) differences.push(`${what} is ${is}, expected ${expected}`);
	};
	const { ppid, pgid, sid } = readStat(pid);
	if (!isRoot) differ("its parent", ppid, here(planned.ppid));
	if (ids === "namespace") {
		// a leader that is gone has no id here
		const { nspgids, nssids } = readStatus(pid);
		differ("its process group", nspgids.at(-1), planned.pgid);
		differ("its session", nssids.at(-1), planned.sid);
	} else {
		differ("its process group", pgid, here(planned.pgid));
		if (planned.sid !== CALLERS_SESSION) differ("its session", sid, here(planned.sid));
	}
	return differences;
}

function asFound(look: () => string[]): string[] {
	try {
		return look();
	} catch (error) {
		return [`it is gone (${error instanceof Error ? error.message : String(error)})`];
	}
}
