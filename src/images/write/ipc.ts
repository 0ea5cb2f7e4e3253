import { bytesOf } from "../../bytes/extent.ts";
import type { ImageRecord } from "../../criu/image.ts";
import { behindQueue, behindSemaphores, ipcVarEntry } from "../../criu/ipc.ts";
import type { PagesPlan } from "../../criu/pages/pages.ts";
import { PE } from "../../criu/vma.ts";
import type {
	IpcDescEntry,
	IpcMsgEntry,
	IpcSemEntry,
	IpcShmEntry,
	IpcVarEntry,
} from "../../criu/wire/generated/schema.ts";
import type { IpcNamespace, IpcObject } from "../../forest/ipc.ts";

/** The images of an IPC namespace, but for the pages of its segments. */
export interface IpcImages {
	readonly settings: ImageRecord<IpcVarEntry>;
	readonly segments: readonly ImageRecord<IpcShmEntry>[];
	readonly semaphores: readonly ImageRecord<IpcSemEntry>[];
	readonly queues: readonly ImageRecord<IpcMsgEntry>[];
}

export const ipcImages = (namespace: IpcNamespace): IpcImages => ({
	settings: { value: ipcVarEntry(namespace.settings) },
	segments: namespace.segments.map((segment) => ({
		value: {
			...{ desc: descEntry(segment), size: segment.size, in_pagemaps: true },
			...(segment.hugePages === undefined ? {} : { hugetlb_flag: segment.hugePages }),
		},
	})),
	semaphores: namespace.semaphores.map((set) => ({
		value: { desc: descEntry(set), nsems: set.values.length },
		...behindSemaphores(set.values),
	})),
	queues: namespace.queues.map((queue) => ({
		value: { desc: descEntry(queue), qbytes: queue.capacity, qnum: queue.messages.length },
		...behindQueue(queue.messages, (text) => bytesOf(text) ?? new Uint8Array(Number(text.length))),
	})),
});

/** The pages of segments, under the numbers that are their ids. @param firstPages the number of the first file of pages. */
export const segmentPages = ({ segments }: IpcNamespace, firstPages: number): PagesPlan[] =>
	segments.map(({ id, contents }, i) => ({
		pages: `pages-${firstPages + i}.img`,
		pagemap: `pagemap-shmem-${id}.img`,
		kind: "shared-object",
		pagesId: firstPages + i,
		runs: contents.map((content) => ({ ...content, baseline: "zero", flags: PE.PRESENT })),
	}));

const descEntry = ({ id, key, mode, uid, gid, cuid, cgid }: IpcObject): IpcDescEntry => ({
	...{ key, uid, gid, cuid, cgid, mode, id },
});
