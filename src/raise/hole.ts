import { plus } from "../bytes/address.ts";
import { contains, lengthOf, type Range } from "../bytes/range.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Task } from "../forest/task.ts";
import { MAP } from "../linux/mman.ts";
import { roomFor } from "../plan/compile/room.ts";
import { chooseHole, type Taken } from "../plan/hole.ts";

/** Descriptors that a core alone proves; a few in all cores seen so far. More than this make no plan that fits. */
const MOST_PROVED = 4096;

/**
 * Where an agent can live that will make the process of a core, before it is known what that will be: free in whatever becomes of
 * the core and the donor. Nothing that is found out later adds an address.
 *
 * @param named Descriptors that whoever calls us names files for.
 * @throws NecromancerError ERR_HOST where the layout has no such place.
 */
export function holeOf(dead: PartialTask, donor: Task | undefined, named: number): Range {
	const { mappings, contents, stack } = dead.memory;
	const objects = mappings.filter(({ file }) => file?.deleted === true).length;
	const lent = donor?.memory;
	const lentContents = [...(lent?.objects ?? []), ...(lent?.ghosts ?? [])].reduce(
		(sum, it) => sum + it.contents.length,
		lent?.contents.length ?? 0,
	);
	const room = roomFor({
		// a leader that had ended is in no core
		threads: dead.threads.length + 1,
		// each may be cut where its file ends, each thread's stack has a guard
		mappings: 2 * mappings.length + dead.threads.length + 2,
		contents: 2 * contents.length + lentContents,
		objects: objects + (lent?.objects.length ?? 0),
		ghosts: lent?.ghosts?.length ?? 0,
		descriptors: named + (donor === undefined ? MOST_PROVED : donor.files.descriptors.length),
	});
	const growing = stack.kind === "unknown" ? undefined : stack.startStack;
	const taken = mappings.map(
		({ start, end }): Taken => ({
			...{ start, end },
			flags: growing !== undefined && contains({ start, end }, growing) ? MAP.GROWSDOWN : 0,
		}),
	);
	return chooseHole([...taken, ...vvarOf(dead, donor)], room);
}

/** gdb leaves it out of its cores; it lies in front of the vdso, as long as the donor's. */
function vvarOf({ memory: { mappings } }: PartialTask, donor: Task | undefined): Taken[] {
	const vdso = mappings.find(({ kernel }) => kernel === "vdso");
	const vvar = donor?.memory.mappings.find(({ backing }) => backing.kind === "vvar");
	if (vdso === undefined || vvar === undefined || lengthOf(vvar) > vdso.start) return [];
	return [{ start: plus(vdso.start, -lengthOf(vvar)), end: vdso.start }];
}
