import { pathOfDescriptor } from "../bytes/own-descriptor.ts";
import { FdTypes, type FileEntry } from "../criu/wire/generated/schema.ts";
import { refuse } from "../errors.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { O, O_ACCMODE } from "../linux/open.ts";
import { S_IFMT, S_IFREG } from "../linux/stat.ts";
import { withoutDeleted } from "../proc/deleted.ts";
import { pathDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, type EntryOpening, NO_OWNER, partOf } from "./entries.ts";
import type { DescriptorKind } from "./kind.ts";
import { type AddStep, addStatusFlags, openFlags, type Slot } from "./steps.ts";

export interface MemfdDescription extends DescriptionCommon {
	readonly kind: "memfd";
	readonly name: string;
	/** Id of the `SharedObject` behind it, in the task's memory; mappings may show the same. */
	readonly object: number;
	/** Bytes. */
	readonly position: bigint;
}

/** memfd_create(2), and what is opened of shared memory. */
export const memfd: DescriptorKind<MemfdDescription> = {
	images: {
		types: [FdTypes.MEMFD],
		from: (entry, images) => {
			const { id } = entry;
			const part = partOf(entry, entry.memfd, images);
			const shown = images.objects.memfd(BigInt(part.inode_id), "descriptor");
			if (shown === undefined)
				return refuse("ERR_IMAGE_CORRUPT", {
					subject: images.subject,
					finding: `memfd ${id} names inode ${part.inode_id}`,
					expectation: "which memfd.img does not hold",
				});
			const { name, object } = shown;
			return { kind: "memfd", ...commonFrom(part), name, object, position: part.pos };
		},
		to: ({ id, flags, object, position }, { inode, owner }) => memfdFile(id, inode(object), { flags, position, owner }),
	},
	living: {
		see: (open) => {
			const { link, stat, info } = open;
			const isRegular = (Number(stat.mode) & S_IFMT) === S_IFREG;
			// opened through /proc/PID/map_files: its only name is the kernel's
			const shared = isNamelessMemory(link) && isRegular ? withoutDeleted(link).path : undefined;
			const name = memfdName(link) ?? shared;
			if (name === undefined) return undefined;
			return {
				describe: (common, ask) => ({
					...{ kind: "memfd", ...common, name, object: ask.object(open, name), position: info.position },
				}),
			};
		},
	},
	making: { unopenable: () => undefined, open: "with its memory" },
	differs: ({ name }, { link }) => {
		const planned = `/memfd:${name} (deleted)`;
		return link === planned ? undefined : `is of ${link}, expected ${planned}`;
	},
	shares: ({ object }) => ({ of: "objects", id: object, inode: `object ${object}` }),
};

/** `memfd` of `/memfd:memfd (deleted)`. */
export function memfdName(name: string): string | undefined {
	const { path } = withoutDeleted(name);
	return path.startsWith("/memfd:") ? path.slice("/memfd:".length) : undefined;
}

/** Shared anonymous memory, and that of System V, which private mappings and descriptors may show too (map_files). */
export const isNamelessMemory = (name: string): boolean =>
	name.startsWith("/dev/zero (deleted)") || /^\/SYSV[0-9a-f]{8} \(deleted\)/.test(name);

const TO_MAP: EntryOpening = { flags: O.RDWR | O.LARGEFILE, position: 0n, owner: NO_OWNER };

/** The file entry of a memfd: that which all its mappings name, or that of a description. */
export const memfdFile = (id: number, inode: bigint, opening = TO_MAP): FileEntry => ({
	type: FdTypes.MEMFD,
	id,
	memfd: { id, flags: opening.flags, pos: opening.position, fown: opening.owner, inode_id: Number(inode) },
});

/** Where an object is open until the end. */
export interface OpenMemfd {
	readonly number: number;
	/** The slots of which one may have that very description: those with this key, or any; absent for none. */
	readonly original?: string;
}

/**
 * Gives descriptors their numbers, ascending, once their memory is there. A number below that nobody has is what the kernel gives
 * first.
 *
 * @param taken the numbers of all other descriptors.
 * @param openAs where an object is open until the end, by its id.
 */
export function placeMemfds(
	slots: readonly Slot<MemfdDescription>[],
	taken: Set<number>,
	openAs: (object: number) => OpenMemfd,
	add: AddStep,
): void {
	const firsts = new Map<string, number>();
	const original = new Set<number>();
	let lowest = 0;
	for (const { number, key, closeOnExec, content } of slots) {
		const { object, flags, position, name } = content;
		const closing = closeOnExec ? O.CLOEXEC : 0;
		const duplicate = (from: number, why: string): void =>
			add("dup3", [BigInt(from), BigInt(number), BigInt(closing)], why, { expect: { exactly: BigInt(number) } });
		const first = firsts.get(key);
		const { number: from, original: whose } = openAs(object);
		while (taken.has(lowest)) lowest++;
		taken.add(number);
		firsts.set(key, first ?? number);
		if (first !== undefined) {
			duplicate(first, `${number} and ${first} are one`);
			continue;
		}
		const fd = BigInt(number);
		const may = whose === "any" || whose === key;
		if ((flags & (O_ACCMODE | O.PATH)) === O.RDWR && may && !original.has(object)) {
			// the description that memfd_create(2) made: another one for writing would keep it from being executed
			original.add(object);
			duplicate(from, `memfd ${name}`);
			addStatusFlags({ add }, fd, 0, flags);
		} else {
			const how = openFlags(flags & ~O.NOFOLLOW) | (lowest === number ? closing : 0);
			const path = pathDatum(`memfd ${name} for ${number}`, pathOfDescriptor(from));
			add("openat", [AT_FDCWD, path, BigInt(how)], `memfd ${name} opened once more`, {
				expect: { exactly: BigInt(lowest) },
			});
			if (lowest !== number) {
				duplicate(lowest, "to its number");
				add("close", [BigInt(lowest)], `${lowest} is free again`);
			}
		}
		if (position !== 0n && (flags & O.PATH) === 0)
			add("lseek", [fd, position, 0n], "where it was read or written last", { expect: { exactly: position } });
	}
}
