import { type Range, rangeAt } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import type { Forest } from "../forest/forest.ts";
import type { Mapping, Task } from "../forest/task.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readStat } from "../proc/stat.ts";
import { readStatus } from "../proc/status.ts";
import { readMaxMapCount } from "../proc/sys.ts";
import { processes } from "../proc/tasks.ts";

/**
 * Refuses images that hold no memory of a process: zeros would be where its stacks and data were. A living process has
 * written a page at the least, so such images are a donor (dump --no-pages).
 *
 * @param images their directory.
 * @throws NecromancerError ERR_IMAGE_MISSING
 */
export function requireMemory({ processes }: Forest, images: string): void {
	const empty = processes.find(({ memory }) => memory.contents.length === 0);
	if (empty === undefined) return;
	const { identity } = empty;
	refuse("ERR_IMAGE_MISSING", {
		subject: images,
		finding: `holds no memory of process ${identity.pid}`,
		expectation: "expected more than a donor (dump --no-pages)",
		remedy:
			"give it the memory of a core first (necromancer -c CORE -i DIR), or raise that core with it (necromancer raise CORE -i DIR)",
	});
}

/**
 * Refuses a process of more mappings than vm.max_map_count.
 *
 * @throws NecromancerError ERR_HOST
 */
export function requireRoomForMappings({ memory }: Task, views: readonly Range[] = [], most = readMaxMapCount()): void {
	// guards are marks within mappings
	const mappings = memory.mappings.filter(({ backing }) => backing.kind !== "guard");
	const needed = mappings.length + splits(mappings, views);
	if (most === undefined || needed <= most) return;
	refuse("ERR_HOST", {
		subject: "vm.max_map_count",
		finding: `is ${most}`,
		expectation:
			needed === mappings.length
				? `expected at least the ${needed} mappings that the process had`
				: `expected at least ${needed}: the ${mappings.length} mappings that the process had, some in parts (--lazy)`,
		remedy: `raise it: sysctl vm.max_map_count=${2 ** Math.ceil(Math.log2(needed + 64))}`,
	});
}

/** A view of the core (--lazy) is a mapping of its own and splits the one that it lies in. */
function splits(mappings: readonly Mapping[], views: readonly Range[]): number {
	const ends = new Map<Mapping, bigint>();
	let parts = 0;
	for (const { start, end } of views) {
		const mapping = rangeAt(mappings, start);
		if (mapping === undefined) continue;
		// what lies behind the last one is the part that was there already
		if (start > (ends.get(mapping) ?? mapping.start)) parts++;
		parts++;
		ends.set(mapping, end);
	}
	for (const [{ end }, last] of ends) if (last === end) parts--;
	return parts;
}

const WAYS_OUT = "restore into a new pid namespace with --pid-namespace, or with new ids with --fresh-ids";

/**
 * Refuses when an id that the process needs is taken, and names who has it.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireFreeIds(tids: readonly number[]): void {
	for (const tid of tids) {
		const holder = ifShown(() => readStatus(tid));
		if (holder === undefined) continue;
		const zombie = holder.state === "Z";
		refuse("ERR_PID_TAKEN", {
			subject: `pid ${tid}`,
			finding: `is taken by "${holder.name}"${zombie ? ", which is dead but not yet reaped by its parent" : ""}`,
			expectation: "expected it to be free",
			remedy: zombie ? `end its parent, or ${WAYS_OUT}` : WAYS_OUT,
		});
	}
}

/**
 * Refuses pid 1, that of a pid namespace's init, which the main process of a container has.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireNoFirst(tids: readonly number[]): void {
	if (!tids.includes(1)) return;
	refuse("ERR_PID_TAKEN", {
		subject: "pid 1",
		finding: "is that of the first process of every pid namespace, which signals do not reach as they reach others",
		expectation: "expected another",
		remedy: "restore with new ids with --fresh-ids",
	});
}

/**
 * Refuses ids that no process has and that clone3 gives to none (EEXIST): they are still the session or process group id of
 * others.
 *
 * @throws NecromancerError ERR_PID_TAKEN
 */
export function requireNoHeirs(pids: readonly number[]): void {
	const heir = heirOf(new Set(pids));
	if (heir === undefined) return;
	refuse("ERR_PID_TAKEN", {
		subject: `pid ${heir.id}`,
		finding: `is still the ${heir.of} of "${heir.comm}" (process ${heir.pid})`,
		expectation: "expected it to be free",
		remedy: `end that one, or ${WAYS_OUT}`,
	});
}

interface Heir {
	readonly id: number;
	readonly pid: number;
	readonly comm: string;
	readonly of: "session" | "process group";
}

function heirOf(ids: ReadonlySet<number>): Heir | undefined {
	for (const pid of processes()) {
		const stat = ifShown(() => readStat(pid));
		if (stat === undefined) continue;
		const { comm, sid, pgid } = stat;
		if (ids.has(sid)) return { id: sid, pid, comm, of: "session" };
		if (ids.has(pgid)) return { id: pgid, pid, comm, of: "process group" };
	}
	return undefined;
}
