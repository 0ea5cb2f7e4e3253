import { fileOffset } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import type { MemfdInodeEntry } from "../../criu/wire/generated/schema.ts";
import type { SharedObject } from "../../forest/task.ts";
import { F_SEAL, MFD } from "../../linux/mman.ts";
import { contentsFrom } from "./contents.ts";

/** The shared memory of a process: each object once, whoever shows it, and in the order in which it was asked for. */
export interface ImageObjects {
	/** A record of memfd.img, where there is one: its name and its object's id. */
	memfd(inode: bigint, by: "mapping" | "descriptor"): ShownMemfd | undefined;
	/** Shared anonymous memory in the form that knows no memfd; it reaches as far as any of its mappings. */
	anonymous(shmid: bigint, end: bigint): number;
	list(): readonly SharedObject[];
}

export interface ShownMemfd {
	readonly name: string;
	readonly object: number;
	/** Whether nobody can write to it any more, whatever descriptor he has. */
	readonly readOnly: boolean;
}

/** What CRIU calls shared anonymous memory, which is a memfd without a name to it. */
const NAMELESS = "/dev/zero";

/** Objects of an image directory; contents refer to its pages files. */
export function objectsOf(dir: ImageDir): ImageObjects {
	const inodes = new Map(
		dir.has("memfd.img") ? dir.image("memfd.img", "memfd").records.map(({ value }) => [value.inode_id, value]) : [],
	);
	const objects = new Map<bigint, SharedObject>();
	const put = (shmid: bigint, size: bigint, looks: Omit<SharedObject, "id" | "size" | "contents">): number => {
		const known = objects.get(shmid);
		const id = known?.id ?? objects.size + 1;
		const larger = known !== undefined && known.size > size ? known.size : size;
		const contents = known?.contents ?? contentsFrom(dir, `pagemap-shmem-${shmid}.img`, fileOffset);
		objects.set(shmid, { ...known, ...looks, id, size: larger, contents });
		return id;
	};
	return {
		memfd: (number, by) => {
			const inode = inodes.get(number);
			if (inode === undefined) return undefined;
			// an fd of the object shows whether it is a memfd or shared anonymous memory
			const looks = inode.name === NAMELESS && by === "mapping" ? {} : memfdLooks(inode);
			const { name, seals, shmid, size } = inode;
			return { name, object: put(BigInt(shmid), size, looks), readOnly: (seals & F_SEAL.WRITE) !== 0 };
		},
		anonymous: (shmid, end) => put(shmid, end, {}),
		list: () => [...objects.values()],
	};
}

/** Nothing but F_SEAL_SEAL is what a memfd has that was made without MFD_ALLOW_SEALING. */
const memfdLooks = ({ name, seals, mode, uid, gid, hugetlb_flag = 0 }: MemfdInodeEntry) => ({
	...{ name, seals, uid, gid },
	memfdFlags: hugetlb_flag | (seals === F_SEAL.SEAL ? 0 : MFD.ALLOW_SEALING),
	...defined({ mode }),
});
