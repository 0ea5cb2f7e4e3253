import type { FileOffset } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import type { Placed } from "../bytes/extent.ts";
import type { PagesPlan } from "../criu/pages/pages.ts";
import { VMA } from "../criu/vma.ts";
import type { MemfdInodeEntry, MmEntry, VmaEntry } from "../criu/wire/generated/schema.ts";
import { memfdFile } from "../descriptors/memfd.ts";
import type { Finding } from "../finding.ts";
import type { SharedObject, Task } from "../forest/task.ts";
import { isSealed, memfdInode, objectPages } from "../images/write/memfd.ts";
import type { ShownObject } from "../images/write/mm.ts";
import type { FileTable } from "./files.ts";
import { contentsOfSeveral, type SharedPart } from "./memory-of-several.ts";
import type { NameTable } from "./name-table.ts";

/** A dead process, and what of the donor's shared memory it shows. */
export interface DeadObjects {
	/** The core, as messages call it, and when it was written, where that is known. */
	readonly name: string;
	readonly writtenAt?: bigint;
	readonly task: Task;
	readonly donor: Task;
	/** mm image of the donor's process. */
	readonly mm: MmEntry;
	/** Ids of its objects → of the donor's. */
	readonly lent: ReadonlyMap<number, number>;
}

export interface DonorObjects {
	/** memfd.img's records. */
	readonly inodes: readonly MemfdInodeEntry[];
	/** What each process of the donor maps, and file entries of the memfds that it has open. */
	readonly processes: readonly {
		readonly pid: number;
		readonly mm: MmEntry;
		readonly memfds: readonly number[];
	}[];
	/** Pages file of a pagemap-shmem image, and what that holds. */
	pagesOf(shmid: bigint): string | undefined;
	contentsOf(shmid: bigint): readonly Placed<FileOffset>[];
}

/** Where the images keep the shared memory of the dead processes. */
export interface DonorObjectImages {
	/** memfd.img's records. */
	readonly inodes: readonly MemfdInodeEntry[];
	readonly pages: readonly PagesPlan[];
	imageOf(task: Task, object: number): ShownObject;
}

interface FoundPart extends SharedPart {
	/** Where the donor's process shows it. */
	readonly vma: VmaEntry;
}

/** One of the donor's. */
interface Memfd {
	/** Id of its file entry. */
	readonly file: bigint;
	readonly inode: MemfdInodeEntry;
}

/**
 * What a process has alone: shared anonymous memory in the form that needs no memfd (CRIU 4.2 restores both), and memfds by name:
 * the donor's of that name with the dead one's content, or a new one. Objects that only the donor's dropped mappings used are
 * removed. What several processes of the donor have stays one object for all, with what the cores hold of it.
 */
export function objectImages(
	deads: readonly DeadObjects[],
	donor: DonorObjects,
	files: FileTable,
	names: NameTable,
	report: (finding: Finding) => void,
): DonorObjectImages {
	const inodes = new Map(donor.inodes.map((inode) => [inode.inode_id, inode]));
	const inodeOfFile = new Map(
		files.entries.flatMap(({ id, memfd }) => (memfd === undefined ? [] : [[BigInt(id), BigInt(memfd.inode_id)]])),
	);
	const showing = showingIn(donor, inodeOfFile);
	const isCommon = (key: string | undefined): key is string => key !== undefined && (showing.get(key)?.size ?? 0) > 1;
	const drop = (shmid: bigint): void => {
		const pages = donor.pagesOf(shmid);
		names.drop(`pagemap-shmem-${shmid}.img`);
		if (pages !== undefined) names.drop(pages);
	};
	const images = new Map<Task, Map<number, ShownObject>>(deads.map(({ task }) => [task, new Map()]));
	const pages: PagesPlan[] = [];

	const common = new Map<string, [FoundPart, ...FoundPart[]]>();
	for (const { name, writtenAt, task, donor: lender, mm, lent } of deads)
		for (const object of shownBy(task)) {
			const vma = vmaOf(lender, mm, lent.get(object.id));
			const key = vma && keyOf(vma, inodeOfFile);
			if (vma === undefined || !isCommon(key)) continue;
			const part = { name, task, object, vma, ...defined({ writtenAt }) };
			const parts = common.get(key);
			if (parts === undefined) common.set(key, [part]);
			else parts.push(part);
		}
	for (const [key, parts] of common) {
		const { vma } = parts[0];
		const isMemfd = (vma.status & VMA.MEMFD) !== 0;
		const inode = isMemfd ? inodes.get(inodeOfFile.get(vma.shmid) ?? -1n) : undefined;
		const shmid = inode === undefined ? vma.shmid : BigInt(inode.shmid);
		const whole = contentsOfSeveral(parts, [...(showing.get(key) ?? [])], donor.contentsOf(shmid), report);
		if (whole !== undefined) {
			drop(shmid);
			pages.push(objectPages(whole, Number(shmid), names.fresh(pagesName)));
			if (inode !== undefined && whole.size > inode.size) inodes.set(inode.inode_id, { ...inode, size: whole.size });
		}
		for (const part of parts)
			images.get(part.task)?.set(part.object.id, {
				...{ shmid: part.vma.shmid, memfd: isMemfd, sealed: inode !== undefined && isSealed(inode) },
			});
	}

	const opened = new Set(donor.processes.flatMap(({ memfds }) => memfds.map((file) => inodeOfFile.get(BigInt(file)))));
	let lastInode = [...inodes.keys()].reduce((max, id) => (id > max ? id : max), 0n);
	for (const { task, mm } of deads) {
		const own = images.get(task);
		if (own === undefined) continue;
		const dead = shownBy(task).filter(({ id }) => !own.has(id));
		const alone = mm.vmas.filter((vma) => !isCommon(keyOf(vma, inodeOfFile)));
		for (const { shmid } of alone.filter(({ status }) => (status & VMA.ANON_SHARED) !== 0)) drop(shmid);
		// memfds that only the donor's mappings used: free, unless reused under their name
		const free = memfdsByName(alone, inodeOfFile, inodes);
		const returning = new Map(
			dead.flatMap((object): [number, Memfd][] => {
				const found = object.name === undefined ? undefined : free.get(object.name)?.pop();
				return found === undefined ? [] : [[object.id, found]];
			}),
		);
		for (const { file, inode } of [...free.values()].flat()) {
			if (opened.has(inode.inode_id)) continue;
			files.remove(Number(file));
			inodes.delete(inode.inode_id);
			drop(BigInt(inode.shmid));
		}
		for (const { inode } of returning.values()) drop(BigInt(inode.shmid));
		for (const object of dead) {
			const back = returning.get(object.id);
			const shmid = names.fresh((n) => `pagemap-shmem-${n}.img`);
			pages.push(objectPages(object, shmid, names.fresh(pagesName)));
			if (object.name === undefined) own.set(object.id, { shmid: BigInt(shmid), memfd: false, sealed: false });
			else if (back !== undefined) {
				const size = object.size > back.inode.size ? object.size : back.inode.size;
				inodes.set(back.inode.inode_id, { ...back.inode, shmid, size });
				own.set(object.id, { shmid: back.file, memfd: true, sealed: isSealed(back.inode) });
			} else {
				lastInode++;
				const inode = lastInode;
				inodes.set(inode, memfdInode(object, inode, shmid, [task]));
				const file = files.add((id) => memfdFile(id, inode));
				own.set(object.id, { shmid: BigInt(file), memfd: true, sealed: isSealed(object) });
			}
		}
	}
	return {
		inodes: [...inodes.values()],
		pages,
		imageOf: (task, object) => {
			const image = images.get(task)?.get(object);
			if (image === undefined) throw new Error(`no shared object ${object}`);
			return image;
		},
	};
}

const pagesName = (n: number): string => `pages-${n}.img`;

/** Objects that a mapping shows; memfds without one stay as the donor had them. */
function shownBy({ memory: { mappings, objects } }: Task): readonly SharedObject[] {
	const shown = new Set(mappings.flatMap(({ backing }) => (backing.kind === "object" ? [backing.object] : [])));
	return objects.filter(({ id }) => shown.has(id));
}

/** Names an object, whichever file entry leads to it: mappings and descriptors have their own. */
const keyOf = ({ status, shmid }: VmaEntry, inodeOfFile: ReadonlyMap<bigint, bigint>): string | undefined =>
	(status & VMA.MEMFD) !== 0
		? memfdKey(inodeOfFile.get(shmid))
		: (status & VMA.ANON_SHARED) !== 0
			? `anonymous ${shmid}`
			: undefined;

const memfdKey = (inode: bigint | undefined): string | undefined =>
	inode === undefined ? undefined : `memfd ${inode}`;

/** Which processes have an object mapped or open. */
function showingIn(
	{ processes }: DonorObjects,
	inodeOfFile: ReadonlyMap<bigint, bigint>,
): ReadonlyMap<string, ReadonlySet<number>> {
	const showing = new Map<string, Set<number>>();
	for (const { pid, mm, memfds } of processes)
		for (const key of [
			...mm.vmas.map((vma) => keyOf(vma, inodeOfFile)),
			...memfds.map((file) => memfdKey(inodeOfFile.get(BigInt(file)))),
		])
			if (key !== undefined) showing.set(key, (showing.get(key) ?? new Set()).add(pid));
	return showing;
}

/** Where the donor's process shows one of its objects. */
function vmaOf({ memory }: Task, { vmas }: MmEntry, object: number | undefined): VmaEntry | undefined {
	const shown = memory.mappings.find(({ backing }) => backing.kind === "object" && backing.object === object);
	return shown && vmas.find(({ start, status }) => start === shown.start && (status & VMA.GUARD) === 0);
}

/** The last of a name is the first that the donor mapped. */
function memfdsByName(
	vmas: readonly VmaEntry[],
	inodeOfFile: ReadonlyMap<bigint, bigint>,
	inodes: ReadonlyMap<bigint, MemfdInodeEntry>,
): Map<string, Memfd[]> {
	const files = new Set(vmas.flatMap(({ status, shmid }) => ((status & VMA.MEMFD) !== 0 ? [shmid] : [])));
	const found = new Map<string, Memfd[]>();
	for (const file of [...files].reverse()) {
		const inode = inodes.get(inodeOfFile.get(file) ?? -1n);
		if (inode !== undefined) found.set(inode.name, [...(found.get(inode.name) ?? []), { file, inode }]);
	}
	return found;
}
