import { type Address, pagesUp, plus } from "../../bytes/address.ts";
import { held, type Placed, place } from "../../bytes/extent.ts";
import { refuse } from "../../errors.ts";
import type { Segment } from "../../forest/ipc.ts";
import type { Mapping, Task } from "../../forest/task.ts";
import { SHM_MODE, SHMCTL } from "../../linux/ipc.ts";
import type { Context } from "../context.ts";
import { addSetting, LATE } from "../process/ipc.ts";
import { nameOf } from "./classify.ts";
import { pageOfHuge, reservePages } from "./memfd-looks.ts";
import { isOneRun, type Member } from "./memfds.ts";
import { mapMembers } from "./objects.ts";

/** System V's segments, once they are attached. */
export interface AttachedSegments {
	/** Bytes of those that the process fills, at the addresses where they can be written until `protect`. */
	readonly contents: readonly Placed<Address>[];
	/** As of {@link MappedObjects}. */
	readonly prots: ReadonlyMap<Mapping, number>;
	/** Detaches what was only there to write through. A step of `protect`. */
	readonly finish: () => void;
}

/**
 * Attaches the segments of the process's IPC namespace wherever they were, and those that nobody shows where the process can fill
 * them. Part of one, or the same in other places, comes from a place aside by mremap(2) with an old length of 0.
 *
 * @throws NecromancerError ERR_TASK_UNRUNNABLE for a mapping of no segment, or of more than it has.
 */
export function attachSegments(
	{ ipc }: Pick<Task, "ipc">,
	mappings: readonly Mapping[],
	context: Context,
): AttachedSegments {
	const contents: Placed<Address>[] = [];
	const prots = new Map<Mapping, number>();
	const windows: Address[] = [];
	const leader = context.draft.leader;
	const { fills = new Set<number>(), first = false } = context.segments ?? {};
	const groups = ipc === undefined ? new Map<bigint, Member[]>() : membersOf(mappings);
	const segments = ipc?.segments ?? [];
	for (const [id, members] of groups) requireIn(segments, id, members);
	for (const segment of segments) {
		const { id, size } = segment;
		const members = groups.get(BigInt(id)) ?? [];
		const isFiller = fills.has(id) && segment.contents.some(({ available }) => available > 0n);
		if (members.length === 0 && !isFiller) continue;
		const page = pageOf(segment);
		const length = pagesUp(size, page);
		const [only] = members;
		const whole = only !== undefined && isOneRun(members, length);
		const base = whole ? only.mapping.start : reservePages(context.reserve, length, page);
		leader.add("map", "shmat", [BigInt(id), base, 0n], `System V segment ${id}${whole ? "" : ", aside"}`, {
			expect: { exactly: base },
		});
		if (!whole) windows.push(base);
		mapMembers(whole ? undefined : base, members, prots, context);
		if (isFiller)
			for (const content of segment.contents)
				if (content.available > 0n) contents.push(place(plus(base, content.start), held(content)));
	}
	const finish = (): void => {
		for (const base of windows) leader.add("protect", "shmdt", [base], "the segment is where it was");
		for (const { id, mode } of segments)
			if (fills.has(id) && (mode & SHM_MODE.DEST) !== 0)
				leader.add(
					"protect",
					"shmctl",
					[BigInt(id), BigInt(SHMCTL.RMID), 0n],
					`System V segment ${id} goes with its last attachment`,
				);
		const late = ipc?.settings[LATE];
		if (first && late !== undefined) addSetting(LATE, late, "as it was", context, "protect");
	};
	return { contents, prots, finish };
}

function membersOf(mappings: readonly Mapping[]): Map<bigint, Member[]> {
	const groups = new Map<bigint, Member[]>();
	for (const mapping of mappings) {
		const { backing } = mapping;
		if (backing.kind !== "sysv") continue;
		const members = groups.get(backing.id) ?? [];
		groups.set(backing.id, members);
		members.push({ mapping, offset: backing.offset });
	}
	return groups;
}

function requireIn(segments: readonly Segment[], id: bigint, members: readonly Member[]): void {
	const segment = segments.find((candidate) => BigInt(candidate.id) === id);
	for (const { mapping, offset } of members) {
		const end = offset + mapping.end - mapping.start;
		if (segment !== undefined && end <= pagesUp(segment.size, pageOf(segment))) continue;
		refuse("ERR_TASK_UNRUNNABLE", {
			subject: nameOf(mapping),
			finding: `shows System V segment ${id}${segment === undefined ? "" : ` up to byte ${end}`}`,
			expectation: segment === undefined ? "which is not there" : `which has ${segment.size}`,
		});
	}
}

/** Bytes of each of its pages. */
const pageOf = ({ hugePages = 0 }: Segment): bigint => pageOfHuge(hugePages);
