import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { attempt } from "../bytes/source.ts";
import type { EncodedPlan } from "../plan/encode.ts";
import type { Plan } from "../plan/plan.ts";

/**
 * Which ids a restored process gets: those that it had, here; those that it had, in a pid namespace of its own; or new ones.
 */
export type IdChoice = "same" | "namespace" | "fresh";

/** The threads of a process, leader first. */
export const threadsOf = (pid: number): number[] => [
	pid,
	...readdirSync(`/proc/${pid}/task`)
		.map(Number)
		.filter((tid) => tid !== pid),
];

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
	encoded: EncodedPlan,
): ReadonlyMap<number, number> {
	if (choice === "same") return new Map(tids.map((tid) => [tid, tid]));
	if (choice === "namespace") return new Map(tids.map((tid) => [innermostId(pid, tid), tid]));
	const present = new Set(tids);
	const known = new Map<number, number>();
	const path = `/proc/${pid}/task/${tids[0] ?? pid}/mem`;
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

/** The last of NSpid is what the thread itself sees. */
function innermostId(pid: number, tid: number): number {
	const path = `/proc/${pid}/task/${tid}/status`;
	const status = attempt(path, () => readFileSync(path, "latin1"));
	return Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1] ?? tid);
}
