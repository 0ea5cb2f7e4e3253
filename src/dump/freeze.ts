import type { Agent } from "../agent/agent.ts";
import { refuse } from "../errors.ts";
import type { Zombie } from "../forest/forest.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readComm } from "../proc/single-values.ts";
import { readStat } from "../proc/stat.ts";
import { descendantsOf } from "../proc/tasks.ts";
import { detachAll, type Seized, seizeAll } from "../trace/seize-all.ts";
import { type DumpCandidate, hasEnded, requireCandidate, requireSame } from "./requirements.ts";

/** A process that stands still for us. */
export interface FrozenProcess extends Seized {
	readonly candidate: DumpCandidate;
}

/** A process and all that come from it. */
export interface FrozenTree {
	/** Parents before children; the first is the root. */
	readonly processes: readonly FrozenProcess[];
	/** What has ended and was not waited for. */
	readonly zombies: readonly Zombie[];
}

/**
 * The processes that come from one, the root first, as far as can be seen while they run. Those that have ended are left out.
 *
 * @throws NecromancerError as {@link requireCandidate} does.
 */
export const candidatesOf = (root: number): readonly DumpCandidate[] => [
	requireCandidate(root),
	...descendantsOf(root).flatMap((pid) => candidateIn(root, pid) ?? []),
];

/** @returns `undefined` of one that has ended. */
function candidateIn(root: number, pid: number): DumpCandidate | undefined {
	if (pid === process.pid)
		refuse("ERR_PROCESS", {
			subject: `process ${root}`,
			finding: "has this very program among its descendants",
			expectation: "expected to be no part of what stands still",
			remedy: "run it from elsewhere, as by setsid --fork",
		});
	try {
		return requireCandidate(pid);
	} catch (error) {
		if (hasEnded(pid)) return undefined;
		throw error;
	}
}

/**
 * Seizes a process and all that come from it. Parents are stopped before their children, and whoever is stopped makes no more: it is
 * looked for more until nobody new is found. When it fails, all go on.
 *
 * @param met Called for processes that nobody had seen, before they are stopped.
 * @throws NecromancerError as {@link requireCandidate} and `seizeAll` do.
 */
export async function freezeTree(
	agent: Agent,
	[root, ...known]: readonly DumpCandidate[],
	met: (candidate: DumpCandidate) => Promise<void>,
): Promise<FrozenTree> {
	if (root === undefined) throw new RangeError("a tree without a root");
	const held = new Map<number, FrozenProcess>();
	const seen = new Map(known.map((candidate) => [candidate.pid, candidate]));
	try {
		const first = { candidate: root, ...(await seizeAll(agent, root.pid)) };
		held.set(root.pid, first);
		requireSame(root);
		for (;;) {
			const fresh = descendantsOf(root.pid).filter((pid) => !held.has(pid));
			const living = fresh.filter((pid) => !hasEnded(pid));
			if (living.length === 0)
				return { processes: [...held.values()], zombies: fresh.flatMap((pid) => ifShown(() => zombieFrom(pid)) ?? []) };
			for (const pid of living) {
				const frozen = await freeze(agent, root.pid, pid, { seen, met });
				if (frozen === undefined) continue;
				if (held.has(readStat(pid).ppid)) held.set(pid, frozen);
				// its parent has ended, and it is whoever's that adopts orphans
				else await detachAll(agent, [frozen]);
			}
		}
	} catch (cause) {
		await detachAll(agent, [...held.values()]).catch(() => undefined);
		throw cause;
	}
}

interface Sight {
	readonly seen: ReadonlyMap<number, DumpCandidate>;
	readonly met: (candidate: DumpCandidate) => Promise<void>;
}

/** @returns `undefined` of one that has ended. */
async function freeze(
	agent: Agent,
	root: number,
	pid: number,
	{ seen, met }: Sight,
): Promise<FrozenProcess | undefined> {
	const candidate = candidateIn(root, pid);
	if (candidate === undefined) return undefined;
	if (seen.get(pid)?.stat.startTime !== candidate.stat.startTime) await met(candidate);
	let seized: Seized;
	try {
		seized = await seizeAll(agent, pid);
	} catch (cause) {
		if (hasEnded(pid)) return undefined;
		throw cause;
	}
	try {
		requireSame(candidate);
		return { candidate, ...seized };
	} catch (cause) {
		await detachAll(agent, [seized]).catch(() => undefined);
		throw cause;
	}
}

function zombieFrom(pid: number): Zombie {
	const { ppid, pgid, sid, exitStatus } = readStat(pid);
	return { pid, ppid, pgid, sid, comm: readComm(pid), status: exitStatus };
}
