import { fileOffset, pagesUp } from "../../bytes/address.ts";
import { bytesOf, place } from "../../bytes/extent.ts";
import { u16, viewOf } from "../../bytes/layout.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { ipcSettingsFrom, messagesBehind } from "../../criu/ipc.ts";
import type { IpcDescEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { IpcNamespace, IpcObject, MessageQueue, Segment, SemaphoreSet } from "../../forest/ipc.ts";
import { contentsFrom } from "./contents.ts";

/** The IPC namespaces of an image directory, each once. */
export interface ImageIpc {
	/** That of a process, where it is not the dumper's and the images hold it. */
	of(pid: number): IpcNamespace | undefined;
}

export function ipcIn(dir: ImageDir): ImageIpc {
	const known = new Map<number, IpcNamespace>();
	return {
		of: (pid) => {
			const { root_ids: dumper } = dir.one("inventory.img", "inventory");
			const id = dir.has(`ids-${pid}.img`) ? dir.one(`ids-${pid}.img`, "ids").ipc_ns_id : undefined;
			if (id === undefined || id === dumper?.ipc_ns_id || !dir.has(`ipcns-var-${id}.img`)) return undefined;
			const namespace = known.get(id) ?? namespaceFrom(dir, id);
			known.set(id, namespace);
			return namespace;
		},
	};
}

function namespaceFrom(dir: ImageDir, id: number): IpcNamespace {
	return {
		settings: ipcSettingsFrom(dir.one(`ipcns-var-${id}.img`, "ipcns-var")),
		segments: distinct(dir, `ipcns-shm-${id}.img`, segmentsFrom(dir, id)),
		semaphores: distinct(dir, `ipcns-sem-${id}.img`, semaphoresFrom(dir, id)),
		queues: distinct(dir, `ipcns-msg-${id}.img`, queuesFrom(dir, id)),
	};
}

const objectFrom = ({ id, key, uid, gid, cuid, cgid, mode }: IpcDescEntry): IpcObject => ({
	...{ id, key, mode, uid, gid, cuid, cgid },
});

function segmentsFrom(dir: ImageDir, namespace: number): Segment[] {
	const name = `ipcns-shm-${namespace}.img`;
	if (!dir.has(name)) return [];
	return dir.image(name, "ipcns-shm").records.map(({ value: { desc, size, hugetlb_flag }, extra }) => {
		// of old, the bytes stood behind the record, filled up to whole words
		const whole = extra === undefined ? undefined : { ...extra, length: pagesUp(extra.length) };
		return {
			...{ ...objectFrom(desc), size },
			...(hugetlb_flag === undefined ? {} : { hugePages: hugetlb_flag }),
			contents:
				whole === undefined
					? contentsFrom(dir, `pagemap-shmem-${desc.id}.img`, fileOffset)
					: [place(fileOffset(0), whole)],
		};
	});
}

function semaphoresFrom(dir: ImageDir, namespace: number): SemaphoreSet[] {
	const name = `ipcns-sem-${namespace}.img`;
	if (!dir.has(name)) return [];
	return dir.image(name, "ipcns-sem").records.map(({ value: { desc, nsems }, extra }) => {
		const bytes = extra === undefined ? undefined : bytesOf(extra);
		const view = viewOf(bytes ?? new Uint8Array());
		const values = bytes === undefined ? [] : Array.from({ length: nsems }, (_, i) => u16.read(view, i * u16.size));
		return { ...objectFrom(desc), values };
	});
}

function queuesFrom(dir: ImageDir, namespace: number): MessageQueue[] {
	const name = `ipcns-msg-${namespace}.img`;
	if (!dir.has(name)) return [];
	return dir.image(name, "ipcns-msg").records.map(({ value, extra }) => ({
		...objectFrom(value.desc),
		capacity: value.qbytes,
		messages: messagesBehind(value, extra, `${dir.path}/${name}`),
	}));
}

/** Ids are an int's that is not negative. */
const LARGEST_ID = 0x7fff_ffff;

function distinct<T extends IpcObject>(dir: ImageDir, name: string, objects: readonly T[]): readonly T[] {
	const ids = new Set<number>();
	for (const { id } of objects) {
		if (ids.has(id) || id > LARGEST_ID)
			refuse("ERR_IMAGE_CORRUPT", {
				subject: `${dir.path}/${name}`,
				finding: `has object ${id}${ids.has(id) ? " twice" : ""}`,
				expectation: ids.has(id) ? "expected it once" : "expected a positive int",
			});
		ids.add(id);
	}
	return objects;
}
