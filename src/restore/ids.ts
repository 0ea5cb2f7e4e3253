import { closeSync, openSync, readSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import type { AssembledPlan, Plan } from "../plan/plan.ts";
import { pathOfMemory } from "../proc/links.ts";
import { readStatus } from "../proc/status.ts";
import { threadsOf } from "../proc/tasks.ts";

/**
 * Which ids a restored process gets: those that it had, here; those that it had, in a pid namespace of its own; or new ones.
 */
export type IdChoice = "same" | "namespace" | "fresh";

/** The threads of a process, leader first. */
export const leaderAndThreads = (pid: number): number[] => [pid, ...threadsOf(pid).filter((tid) => tid !== pid)];

/**
 * What each thread of a process is called here, by the id that it had. Threads that are not there are left out.
 *
 * @param tids all of its threads, as they are called here.
 */
export function idsHere(
	choice: IdChoice,
	pid: number,
	tids: readonly number[],
	plan: Plan,
	encoded: AssembledPlan,
): ReadonlyMap<number, number> {
	if (choice === "same") return new Map(tids.map((tid) => [tid, tid]));
	// the last of its ids is what the thread itself sees
	if (choice === "namespace") return new Map(tids.map((tid) => [readStatus({ pid, tid }).nspids.at(-1) ?? tid, tid]));
	const present = new Set(tids);
	const known = new Map<number, number>();
	const path = pathOfMemory({ pid, tid: tids[0] ?? pid });
	const mem = attempt(path, () => openSync(path, "r"));
	try {
		const word = Buffer.alloc(8);
		for (const [old, cell] of plan.newIds ?? []) {
			attempt(path, () => readSync(mem, word, 0, word.length, encoded.addressOf(cell)));
			const tid = Number(word.readBigUInt64LE());
			if (present.has(tid)) known.set(old, tid);
		}
	} finally {
		closeSync(mem);
	}
	return known;
}
