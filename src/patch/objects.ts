import type { PagesPlan } from "../criu/pages/pages.ts";
import { VMA } from "../criu/vma.ts";
import { type FdinfoEntry, FdTypes, type MemfdInodeEntry, type MmEntry } from "../criu/wire/generated/schema.ts";
import { memfdFile } from "../descriptors/memfd.ts";
import type { Task } from "../forest/task.ts";
import { isSealed, memfdInode, objectPages } from "../images/write/memfd.ts";
import type { ShownObject } from "../images/write/mm.ts";
import type { FileTable } from "./files.ts";
import type { NameTable } from "./name-table.ts";

/** Where the images keep the shared memory of the dead process. */
export interface DonorObjectImages {
	/** memfd.img's records. */
	readonly inodes: readonly MemfdInodeEntry[];
	readonly pages: readonly PagesPlan[];
	imageOf(object: number): ShownObject;
}

export interface DonorObjects {
	readonly inodes: readonly MemfdInodeEntry[];
	readonly mm: MmEntry;
	/** Descriptors of every process, and the mm images of the others: what they use must stay. */
	readonly descriptors: readonly FdinfoEntry[];
	readonly otherMms: readonly MmEntry[];
	/** Pages file of a pagemap-shmem image. */
	pagesOf(shmid: bigint): string | undefined;
}

/** One of the donor's. */
interface Memfd {
	/** Id of its file entry. */
	readonly file: bigint;
	readonly inode: MemfdInodeEntry;
}

/**
 * Writes shared anonymous memory in the form that needs no memfd (CRIU 4.2 restores both), and memfds by name: the donor's of
 * that name with the dead one's content, or a new one. Objects that only the donor's dropped mappings used are removed.
 */
export function objectImages(task: Task, donor: DonorObjects, files: FileTable, names: NameTable): DonorObjectImages {
	const mapped = (mm: MmEntry, bit: number): Set<bigint> =>
		new Set(mm.vmas.filter(({ status }) => (status & bit) !== 0).map(({ shmid }) => shmid));
	const ours = mapped(donor.mm, VMA.MEMFD);
	const foreign = new Set(donor.otherMms.flatMap((mm) => [...mapped(mm, VMA.MEMFD)]));
	const open = new Set(donor.descriptors.filter(({ type }) => type === FdTypes.MEMFD).map(({ id }) => id));
	const inodeOfFile = new Map(
		files.entries.flatMap(({ id, memfd }) => (memfd === undefined ? [] : [[BigInt(id), BigInt(memfd.inode_id)]])),
	);
	const inodes = new Map(donor.inodes.map((inode) => [inode.inode_id, inode]));

	const drop = (shmid: bigint): void => {
		const pages = donor.pagesOf(shmid);
		names.drop(`pagemap-shmem-${shmid}.img`);
		if (pages !== undefined) names.drop(pages);
	};
	// shared anonymous memory of the old form
	const shared = new Set(donor.otherMms.flatMap((mm) => [...mapped(mm, VMA.ANON_SHARED)]));
	for (const shmid of mapped(donor.mm, VMA.ANON_SHARED)) if (!shared.has(shmid)) drop(shmid);
	// memfds that only the donor's mappings used: free, unless reused under their name
	const free = new Map<string, Memfd[]>();
	for (const file of ours) {
		const inode = inodes.get(inodeOfFile.get(file) ?? -1n);
		if (inode === undefined || foreign.has(file)) continue;
		const alike = free.get(inode.name);
		if (alike === undefined) free.set(inode.name, [{ file, inode }]);
		else alike.push({ file, inode });
	}
	for (const alike of free.values()) alike.reverse();
	// memfds without a mapping stay as the donor had them
	const shown = new Set(
		task.memory.mappings.flatMap(({ backing }) => (backing.kind === "object" ? [backing.object] : [])),
	);
	const dead = task.memory.objects.filter(({ id }) => shown.has(id));
	const returning = dead.flatMap((object): [number, Memfd][] => {
		const found = object.name === undefined ? undefined : free.get(object.name)?.pop();
		return found === undefined ? [] : [[object.id, found]];
	});
	const opened = new Set([...inodeOfFile].flatMap(([id, inode]) => (open.has(Number(id)) ? [inode] : [])));
	for (const { file, inode } of [...free.values()].flat()) {
		if (opened.has(inode.inode_id)) continue;
		files.remove(Number(file));
		inodes.delete(inode.inode_id);
		drop(BigInt(inode.shmid));
	}
	for (const [, { inode }] of returning) drop(BigInt(inode.shmid));

	const images = new Map<number, ShownObject>();
	const pages: PagesPlan[] = [];
	const known = new Map(returning);
	let lastInode = [...inodes.keys()].reduce((max, id) => (id > max ? id : max), 0n);
	for (const object of dead) {
		const back = known.get(object.id);
		const shmid = names.fresh((n) => `pagemap-shmem-${n}.img`);
		const pagesId = names.fresh((n) => `pages-${n}.img`);
		pages.push(objectPages(object, shmid, pagesId));
		if (object.name === undefined) images.set(object.id, { shmid: BigInt(shmid), memfd: false, sealed: false });
		else if (back !== undefined) {
			const size = object.size > back.inode.size ? object.size : back.inode.size;
			inodes.set(back.inode.inode_id, { ...back.inode, shmid, size });
			images.set(object.id, { shmid: back.file, memfd: true, sealed: isSealed(back.inode) });
		} else {
			lastInode++;
			const inode = lastInode;
			inodes.set(inode, memfdInode(object, inode, shmid, [task]));
			const file = files.add((id) => memfdFile(id, inode));
			images.set(object.id, { shmid: BigInt(file), memfd: true, sealed: isSealed(object) });
		}
	}
	return {
		inodes: [...inodes.values()],
		pages,
		imageOf: (object) => {
			const image = images.get(object);
			if (image === undefined) throw new Error(`no shared object ${object}`);
			return image;
		},
	};
}
