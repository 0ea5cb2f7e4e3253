import type { Address } from "../../bytes/address.ts";
import { rangeOf } from "../../bytes/extent.ts";
import { byStart, lengthOf, type Range } from "../../bytes/range.ts";
import type { Mapping, Task } from "../../forest/task.ts";
import { MADV } from "../../linux/mman.ts";
import type { Context } from "../context.ts";
import { type FilePolicy, slotsOf } from "../files/slots.ts";
import type { Part } from "../part.ts";
import { addMappingPolicies, sealMappings } from "../process/attributes.ts";
import { surveyMemory } from "./classify.ts";
import { addBlanks, addFill } from "./fill.ts";
import { clearAllBut, takeOver, trim } from "./inherited.ts";
import { advise, mapAnonymous, mapFiles, protOf, protWhileFilling } from "./map.ts";
import { mapObjects } from "./objects.ts";
import { attachSegments } from "./segments.ts";
import { spaciousOf } from "./spacious.ts";
import { mapViews, withViews } from "./views.ts";

export interface MemoryOptions {
	/**
	 * Private memory shows the files that hold its bytes, instead of getting copies. Time to life is then the same whatever the
	 * size, at a price: these files must stay as they are as long as the process lives (it gets SIGBUS where one was cut
	 * short), /proc/PID/maps names them, a debugger's own dump leaves out what was not written to, and what the program
	 * gives back by MADV_DONTNEED comes back with its old bytes and not as zeros, as allocators may rely on.
	 */
	readonly lazy?: boolean;
}

/**
 * Makes the dead process's address space: everything but the hole goes, every mapping comes at its place, the bytes come
 * straight from the files that hold them, and protections last. Memfds that it had open get their numbers here, too. The vdso
 * has its own part.
 *
 * @returns where a file shows that is not the mapping's own; ascending, without overlaps.
 * @throws NecromancerError as `surveyMemory` and `mapObjects` do, and ERR_HOST where no room is left to work in.
 */
export function planMemory(
	task: Task,
	context: Context,
	{ lazy = false, ...policy }: MemoryOptions & Partial<FilePolicy> = {},
): Part {
	const { identity, memory, files } = task;
	const survey = surveyMemory(memory);
	const { regular, guards, contents, blanks, filled, views } = lazy ? withViews(survey) : { ...survey, views: [] };
	const found = takeOver(regular, contents, context);
	const fresh = regular.filter((mapping) => !found.taken.has(mapping));
	clear(found.ranges, context);
	trim(found, context);
	const slots = slotsOf(files, { fds: new Map(), missing: "error", ...policy }, () => {});
	const objects = mapObjects(memory, regular, filled, slots, context);
	const segments = attachSegments(task, regular, context);
	mapFiles(fresh, filled, context);
	mapAnonymous(fresh, filled, context);
	mapViews(views, context);
	advise(regular, context);
	addMappingPolicies(task, context);
	addFill(
		[...found.contents, ...objects.contents, ...segments.contents],
		spaciousOf(regular, memory, context),
		identity.pid,
		context,
	);
	addBlanks(blanks, context);
	objects.finish();
	segments.finish();
	const prots = new Map([...found.prots, ...objects.prots, ...segments.prots]);
	protect(regular, (mapping) => prots.get(mapping) ?? protWhileFilling(mapping, filled), context);
	guard(guards, context);
	objects.settle();
	sealMappings(task, context);
	return context.draft.made({ views: views.map(rangeOf) });
}

/**
 * The last of the restorer's own memory that is not in the hole: its stack, and the vdso it was given. What other processes have too
 * lies there already.
 */
function clear(found: readonly Range[], context: Context): void {
	const { hole, common } = context;
	const windows = [...(common?.objects.values() ?? [])].flatMap(({ window, memfd }) =>
		memfd === undefined ? (window ?? []) : [],
	);
	const kept = [...windows, ...found, hole].sort(byStart);
	const beside = (start: Address): string => `everything ${start < hole.start ? "below" : "above"} the hole`;
	clearAllBut(kept, kept.length > 1 ? () => "everything that is not shared" : beside, context);
}

function protect(mappings: readonly Mapping[], now: (mapping: Mapping) => number, { draft }: Context): void {
	const leader = draft.leader;
	for (const mapping of mappings)
		if (now(mapping) !== protOf(mapping))
			leader.add(
				"protect",
				"mprotect",
				[mapping.start, lengthOf(mapping), BigInt(protOf(mapping))],
				"its bytes are in",
			);
}

/** After the bytes: pages that become guards lose theirs. */
function guard(guards: readonly Range[], { draft }: Context): void {
	const leader = draft.leader;
	for (const range of guards)
		leader.add(
			"protect",
			"madvise",
			[range.start, lengthOf(range), BigInt(MADV.GUARD_INSTALL)],
			"pages that fault (Linux 6.13)",
		);
}
