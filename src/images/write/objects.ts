import type { PagesPlan } from "../../criu/pages/pages.ts";
import type { MemfdInodeEntry } from "../../criu/wire/generated/schema.ts";
import { memfdFile } from "../../descriptors/memfd.ts";
import type { Forest } from "../../forest/forest.ts";
import type { FilesImage } from "./files-image.ts";
import { isSealed, memfdInode, objectPages } from "./memfd.ts";
import type { ShownObject } from "./mm.ts";

/** Where the images keep shared memory. */
export interface ObjectImages {
	/** memfd.img's records. */
	readonly inodes: readonly MemfdInodeEntry[];
	readonly pages: readonly PagesPlan[];
	shown(object: number): ShownObject;
	/** Of a memfd, as its file entries name it. */
	inode(object: number): bigint;
}

/**
 * Every object as a memfd, which is how CRIU 4.2 itself keeps shared anonymous memory when it has the rights to. An object has one
 * number in all the images; its pages come behind those of the processes.
 */
export function objectImages({ processes, shared }: Forest, fileImage: FilesImage): ObjectImages {
	const held = [...shared.objects.values()];
	const objects = held.map(({ thing }) => thing);
	const pages = processes.length + 1;
	// the pages of System V's segments have names of the same form
	const taken = new Set(processes[0]?.ipc?.segments.map(({ id }) => id));
	let last = 0;
	const numbers = new Map(
		objects.map(({ id }): [number, number] => {
			do last++;
			while (taken.has(last));
			return [id, last];
		}),
	);
	const files = new Map<number, ShownObject>();
	const numberOf = (object: number): number => numbers.get(object) ?? absent(object);
	return {
		inodes: held.map(({ thing, by }) => {
			const showing = processes.filter(({ identity }) => by.includes(identity.pid));
			const number = numberOf(thing.id);
			return memfdInode(thing, BigInt(number), number, showing);
		}),
		pages: objects.map((object, i) => objectPages(object, numberOf(object.id), pages + i)),
		inode: (object) => BigInt(numberOf(object)),
		shown: (object) => {
			const known = files.get(object);
			if (known !== undefined) return known;
			const inode = BigInt(numberOf(object));
			const file = fileImage.add((id) => memfdFile(id, inode));
			const sealed = objects.some((candidate) => candidate.id === object && isSealed(candidate));
			const shown = { shmid: BigInt(file), memfd: true, sealed };
			files.set(object, shown);
			return shown;
		},
	};
}

const absent = (object: number): never => {
	throw new RangeError(`no shared object ${object}`);
};
