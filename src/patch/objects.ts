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

/** One of the donor's. */
interface Memfd {
	/** Id of its file entry. */
	readonly file: bigint;
	readonly inode: MemfdInodeEntry;
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
	const free = new Map<string, Memfd[]>();
	for (const file of ours) {
		const inode = inodes.get(inodeOfFile.get(file) ?? -1n);
		if (inode === undefined || foreign.has(file)) continue;
		const alike = free.get(inode.name);
		if (alike === undefined) free.set(inode.name, [{ file, inode }]);
		else alike.push({ file, inode });
	}
	for (const alike of free.values()) alike.reverse();
	// what no mapping shows is the donor's own, and stays as it is
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

	const images = new Map<number, { readonly shmid: bigint; readonly memfd: boolean }>();
	const pages: PagesPlan[] = [];
	const known = new Map(returning);
	let lastInode = [...inodes.keys()].reduce((max, id) => (id > max ? id : max), 0n);
	for (const object of dead) {
		const back = known.get(object.id);
		const shmid = names.fresh((n) => `pagemap-shmem-${n}.img`);
		const pagesId = names.fresh((n) => `pages-${n}.img`);
		pages.push(pagesOf(object, shmid, pagesId));
		if (object.name === undefined) images.set(object.id, { shmid: BigInt(shmid), memfd: false });
		else if (back !== undefined) {
			const size = object.size > back.inode.size ? object.size : back.inode.size;
			inodes.set(back.inode.inode_id, { ...back.inode, shmid, size });
			images.set(object.id, { shmid: back.file, memfd: true });
		} else {
			lastInode++;
			inodes.set(lastInode, newInode(object, lastInode, shmid, task));
			images.set(object.id, { shmid: BigInt(addMemfd(lastInode, files)), memfd: true });
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

const pagesOf = (object: SharedObject, shmid: number, pagesId: number): PagesPlan => ({
	pages: `pages-${pagesId}.img`,
	pagemap: `pagemap-shmem-${shmid}.img`,
	kind: "shared-object",
	pagesId,
	runs: object.contents.map((content) => ({ ...content, baseline: "zero", flags: PE.PRESENT })),
});

function newInode(object: SharedObject, id: bigint, shmid: number, task: Task): MemfdInodeEntry {
	const owner = task.threads[0]?.credentials;
	return {
		name: object.name ?? "",
		uid: owner?.uid ?? 0,
		gid: owner?.gid ?? 0,
		size: object.size,
		shmid,
		seals: F_SEAL_SEAL,
		inode_id: id,
		mode: ANYONE_MAY,
	};
}

const addMemfd = (inode: bigint, files: FileTable): number =>
	files.add((id) => ({
		type: FdTypes.MEMFD,
		id,
		memfd: { id, flags: O.RDWR | O.LARGEFILE, pos: 0n, fown: NO_OWNER, inode_id: Number(inode) },
	}));
