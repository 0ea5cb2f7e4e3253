import { type FdinfoEntry, FdTypes, type MemfdInodeEntry, type MmEntry } from "../criu/generated/schema.ts";
import type { PagesPlan } from "../criu/pages.ts";
import { PE, VMA } from "../criu/vma.ts";
import { O } from "../linux/open.ts";
import type { SharedObject, Task } from "../task/task.ts";
import { type FileTable, NO_OWNER } from "./files.ts";
import type { Names } from "./names.ts";

/** Where the images keep the shared memory of the dead process. */
export interface ObjectImages {
	/** memfd.img's records. */
	readonly inodes: readonly MemfdInodeEntry[];
	readonly pages: readonly PagesPlan[];
	/** `shmid` is what a VMA names: an object id, or for a memfd the id of its file entry. */
	imageOf(object: number): { readonly shmid: bigint; readonly memfd: boolean };
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

/** Not sealable, as memfd_create without MFD_ALLOW_SEALING leaves it. */
const F_SEAL_SEAL = 1;
const ANYONE_MAY = 0o100777;

/**
 * Writes shared anonymous memory in the form that needs no memfd (CRIU 4.2 restores both), and memfds by name: the donor's
 * of that name with the dead one's content, or a new one. What only the donor's lost mappings used goes.
 */
export function objectImages(task: Task, donor: DonorObjects, files: FileTable, names: Names): ObjectImages {
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
	// memfds that nothing but the donor's mappings held, save those that come back under their name
	const free: { readonly file: bigint; readonly inode: MemfdInodeEntry }[] = [];
	for (const file of ours) {
		const inode = inodes.get(inodeOfFile.get(file) ?? -1n);
		if (inode !== undefined && !foreign.has(file)) free.push({ file, inode });
	}
	const returning = task.memory.objects.flatMap((object): [number, (typeof free)[number]][] => {
		if (object.name === undefined) return [];
		const at = free.findIndex(({ inode }) => inode.name === object.name);
		const [found] = at < 0 ? [] : free.splice(at, 1);
		return found === undefined ? [] : [[object.id, found]];
	});
	for (const { file, inode } of free) {
		if (open.has(Number(file)) || shareInode(inodeOfFile, open, file, inode)) continue;
		files.remove(Number(file));
		inodes.delete(inode.inode_id);
		drop(BigInt(inode.shmid));
	}
	for (const [, { inode }] of returning) drop(BigInt(inode.shmid));

	const images = new Map<number, { readonly shmid: bigint; readonly memfd: boolean }>();
	const pages: PagesPlan[] = [];
	const known = new Map(returning);
	for (const object of task.memory.objects) {
		const back = known.get(object.id);
		const shmid = names.fresh((n) => `pagemap-shmem-${n}.img`);
		const pagesId = names.fresh((n) => `pages-${n}.img`);
		pages.push(pagesOf(object, shmid, pagesId));
		if (object.name === undefined) images.set(object.id, { shmid: BigInt(shmid), memfd: false });
		else if (back !== undefined) {
			const size = object.size > back.inode.size ? object.size : back.inode.size;
			inodes.set(back.inode.inode_id, { ...back.inode, shmid, size });
			images.set(object.id, { shmid: back.file, memfd: true });
		} else images.set(object.id, { shmid: BigInt(newMemfd(object, shmid, task, inodes, files)), memfd: true });
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

/** Whether another open file of the same inode has a descriptor. */
const shareInode = (
	inodeOfFile: ReadonlyMap<bigint, bigint>,
	open: ReadonlySet<number>,
	file: bigint,
	inode: MemfdInodeEntry,
): boolean => [...inodeOfFile].some(([id, other]) => id !== file && other === inode.inode_id && open.has(Number(id)));

const pagesOf = (object: SharedObject, shmid: number, pagesId: number): PagesPlan => ({
	pages: `pages-${pagesId}.img`,
	pagemap: `pagemap-shmem-${shmid}.img`,
	kind: "shared-object",
	pagesId,
	runs: object.contents.map((content) => ({ ...content, baseline: "zero", flags: PE.PRESENT })),
});

function newMemfd(
	object: SharedObject,
	shmid: number,
	task: Task,
	inodes: Map<bigint, MemfdInodeEntry>,
	files: FileTable,
): number {
	const inodeId = [...inodes.keys()].reduce((max, id) => (id > max ? id : max), 0n) + 1n;
	const owner = task.threads[0]?.credentials;
	inodes.set(inodeId, {
		name: object.name ?? "",
		uid: owner?.uid ?? 0,
		gid: owner?.gid ?? 0,
		size: object.size,
		shmid,
		seals: F_SEAL_SEAL,
		inode_id: inodeId,
		mode: ANYONE_MAY,
	});
	return files.add((id) => ({
		type: FdTypes.MEMFD,
		id,
		memfd: { id, flags: O.RDWR | O.LARGEFILE, pos: 0n, fown: NO_OWNER, inode_id: Number(inodeId) },
	}));
}
