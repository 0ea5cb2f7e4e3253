import { type Address, type FileOffset, fileOffset, hex, plus } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { allWithin, cutPlaced, endOf, type Placed, place } from "../bytes/extent.ts";
import { byStart, lengthOf } from "../bytes/range.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { PartialMapping, PartialMemory } from "../forest/partial-task.ts";
import type { SharedObject } from "../forest/task.ts";
import { PROT_WRITE } from "../linux/mman.ts";

/** The shared memory objects of a dead process: shared anonymous memory, memfds, System V segments. */
export interface Objects {
	readonly list: readonly SharedObject[];
	/** Which object a mapping shows, and from which offset. */
	partOf(mapping: PartialMapping): { readonly object: number; readonly offset: FileOffset } | undefined;
}

interface ObjectGroup {
	readonly name: string | undefined;
	readonly members: PartialMapping[];
}

/**
 * Finds the objects behind mappings that the kernel names alike ("/dev/zero (deleted)", "/memfd:x (deleted)"). The inode
 * is not in a core, so: mappings that follow one another in memory and in the object are one (mprotect split them); memfds
 * of one name are one object where that is known; everything else stands alone.
 *
 * @param single names of memfds of which there is one.
 */
export function groupObjects(
	memory: PartialMemory,
	single: ReadonlySet<string>,
	report: (finding: Finding) => void,
): Objects {
	const groups: ObjectGroup[] = [];
	const groupOf = new Map<PartialMapping, number>();
	const named = new Map<string, number>();
	let before: PartialMapping | undefined;
	for (const mapping of memory.mappings) {
		const name = objectName(mapping);
		if (name === undefined) continue;
		const offset = mapping.file?.offset ?? 0n;
		const key = name.file ?? (name.memfd !== undefined && single.has(name.memfd) ? `/memfd:${name.memfd}` : undefined);
		const at =
			key !== undefined
				? named.get(key)
				: before?.end === mapping.start && (before.file?.offset ?? 0n) + lengthOf(before) === offset
					? groupOf.get(before)
					: undefined;
		const group = at === undefined ? undefined : groups[at];
		if (at !== undefined && group !== undefined && group.name === name.memfd) {
			group.members.push(mapping);
			groupOf.set(mapping, at);
		} else {
			if (key !== undefined) named.set(key, groups.length);
			groupOf.set(mapping, groups.length);
			groups.push({ name: name.memfd, members: [mapping] });
		}
		before = mapping;
		if (name.sysv)
			report(
				caution(
					"mapping-kind",
					`mapping ${hex(mapping.start)}`,
					"System V shared memory; comes back as shared memory of its own, not attached to a segment",
				),
			);
	}
	warnOfPossiblyShared(groups, report);
	const list = groups.map((group, i) => objectOf(group, i + 1, memory.contents, report));
	return {
		list,
		partOf: (mapping) => {
			const at = groupOf.get(mapping);
			return at === undefined ? undefined : { object: at + 1, offset: mapping.file?.offset ?? fileOffset(0) };
		},
	};
}

interface ObjectName {
	readonly memfd: string | undefined;
	/** Path of a file that is not here, in whose place the object comes. */
	readonly file?: string;
	readonly sysv: boolean;
}

const objectName = (mapping: PartialMapping): ObjectName | undefined => {
	const { file } = mapping;
	if (file === undefined || !file.deleted) return undefined;
	if (wasShared(mapping)) return { memfd: undefined, file: file.path, sysv: false };
	if (file.path.startsWith("/memfd:")) return { memfd: file.path.slice("/memfd:".length), sysv: false };
	const sysv = /^\/SYSV[0-9a-f]{8}$/.test(file.path);
	return sysv || file.path === "/dev/zero" ? { memfd: undefined, sysv } : undefined;
};

/**
 * Data in a file that is not here, and that the process could write: the kernel dumps private pages that were written, and by
 * default none that were shared. What lies in /dev/shm is there to be shared.
 */
const wasShared = ({ file, prot = 0, held }: PartialMapping): boolean =>
	file?.absent === true && (file.path.startsWith("/dev/shm/") || ((prot & PROT_WRITE) !== 0 && held === 0n));

function warnOfPossiblyShared(groups: readonly ObjectGroup[], report: (finding: Finding) => void): void {
	const parts = groups
		.filter(({ name }) => name !== undefined)
		.flatMap((group) => group.members.map((member) => ({ group, member })));
	/** By what they show: the first part, and the first of another group than its. */
	const alike = new Map<string, [(typeof parts)[number], (typeof parts)[number] | undefined]>();
	for (const part of parts) {
		const { group, member } = part;
		const shows = `${member.file?.offset} ${lengthOf(member)} ${member.file?.path}`;
		const earlier = alike.get(shows);
		if (earlier === undefined) {
			alike.set(shows, [part, undefined]);
			continue;
		}
		const [first, second] = earlier;
		const other = first.group === group ? second : first;
		if (second === undefined && first.group !== group) earlier[1] = part;
		if (other !== undefined)
			report(
				caution(
					"mapping-kind",
					`mapping ${hex(member.start)}`,
					`may be the same ${member.file?.path} as ${hex(other.member.start)}; a core does not tell, they become two objects`,
				),
			);
	}
}

function objectOf(
	{ name, members }: ObjectGroup,
	id: number,
	contents: readonly Placed<Address>[],
	report: (finding: Finding) => void,
): SharedObject {
	let size = 0n;
	const parts: Placed<FileOffset>[] = [];
	for (const member of members) {
		const offset = member.file?.offset ?? fileOffset(0);
		if (offset + lengthOf(member) > size) size = offset + lengthOf(member);
		for (const part of allWithin(contents, member)) parts.push(place(plus(offset, part.start - member.start), part));
		const { file } = member;
		const lost = lengthOf(member) - member.held;
		if (file?.absent === true)
			report(
				(lost > 0n ? loss : note)(
					lost > 0n ? "contents-lost" : "file-gone",
					`mapping ${hex(member.start)}`,
					`${file.path} is not here; shared memory of its own takes its place: ${lost > 0n ? `${lost} of ${lengthOf(member)} bytes are not in the core; they read as zeros` : "all its bytes are in the core"}`,
				),
			);
		else if (member.held === 0n)
			report(
				loss(
					"contents-lost",
					`mapping ${hex(member.start)}`,
					`shared memory${name === undefined ? "" : ` ${name}`} is not in the core (coredump_filter bit 1); it reads as zeros`,
				),
			);
	}
	return { id, size, contents: withoutOverlaps(parts), ...defined({ name }) };
}

/** One object may be mapped twice; its bytes are taken from the first mapping that shows them. */
function withoutOverlaps(parts: readonly Placed<FileOffset>[]): Placed<FileOffset>[] {
	const kept: Placed<FileOffset>[] = [];
	let end = fileOffset(0);
	for (const part of [...parts].sort(byStart)) {
		const shown = part.start < end ? end - part.start : 0n;
		if (shown >= part.length) continue;
		kept.push(cutPlaced(part, shown));
		end = endOf(part);
	}
	return kept;
}
