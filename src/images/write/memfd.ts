import type { PagesPlan } from "../../criu/pages/pages.ts";
import { PE } from "../../criu/vma.ts";
import type { MemfdInodeEntry } from "../../criu/wire/generated/schema.ts";
import type { SharedObject, Task } from "../../forest/task.ts";
import { F_SEAL, MAP, MAP_HUGE_MASK, MAP_HUGE_SHIFT, MFD } from "../../linux/mman.ts";

/** What CRIU calls shared anonymous memory, which it keeps as a memfd. */
const NAMELESS = "/dev/zero";

/** What memfd_create(2) gives: anyone may do anything (mm/shmem.c). */
const ANYONE_MAY = 0o100777;

const HUGE = (MFD.HUGETLB | (MAP_HUGE_MASK << MAP_HUGE_SHIFT)) >>> 0;

/**
 * A record of memfd.img. What is not known of the object is as memfd_create without flags leaves it.
 *
 * @param showing the processes that have it; it is the first one's where nobody knows.
 */
export function memfdInode(
	object: SharedObject,
	inode: bigint,
	shmid: number,
	showing: readonly Task[],
): MemfdInodeEntry {
	const { name, size, memfdFlags = name === undefined ? hugeFlags(object, showing) : 0 } = object;
	const owner = showing[0]?.threads[0]?.credentials;
	const huge = (memfdFlags & HUGE) >>> 0;
	return {
		name: name ?? NAMELESS,
		uid: object.uid ?? owner?.fsuid ?? 0,
		gid: object.gid ?? owner?.fsgid ?? 0,
		size,
		shmid,
		seals: object.seals ?? ((memfdFlags & MFD.ALLOW_SEALING) === 0 ? F_SEAL.SEAL : 0),
		inode_id: inode,
		...(huge === 0 ? {} : { hugetlb_flag: huge }),
		mode: object.mode ?? ANYONE_MAY,
	};
}

/** Only mappings tell the page size of memory that has no name. The bits of mmap(2) and memfd_create(2) differ in one. */
function hugeFlags({ id }: SharedObject, showing: readonly Task[]): number {
	const mappings = showing.flatMap(({ memory }) => memory.mappings);
	const shown = mappings.find(({ backing }) => backing.kind === "object" && backing.object === id);
	const flags = shown?.flags ?? 0;
	return (flags & MAP.HUGETLB) === 0 ? 0 : MFD.HUGETLB | (flags & (MAP_HUGE_MASK << MAP_HUGE_SHIFT));
}

/** The bytes of a shared object, at their offsets. */
export const objectPages = ({ contents }: SharedObject, shmid: number, pagesId: number): PagesPlan => ({
	pages: `pages-${pagesId}.img`,
	pagemap: `pagemap-shmem-${shmid}.img`,
	kind: "shared-object",
	pagesId,
	runs: contents.map((content) => ({ ...content, baseline: "zero", flags: PE.PRESENT })),
});

export const isSealed = ({ seals }: { readonly seals?: number }): boolean => ((seals ?? 0) & F_SEAL.WRITE) !== 0;
