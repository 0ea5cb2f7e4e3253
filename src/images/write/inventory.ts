import type { InventoryEntry, TaskKobjIdsEntry } from "../../criu/wire/generated/schema.ts";
import type { Task } from "../../forest/task.ts";

/** The layout with a magic common to all images, which CRIU has written since 2.0. */
const IMG_VERSION = 2;

/** The first that a process gets of its own; 1 is whoever restores it. */
const FIRST_ID = 2;

/** Equal in the inventory and in the processes: they have the namespaces of whoever restores them. */
export const NAMESPACES = {
	pid_ns_id: 1,
	net_ns_id: 2,
	ipc_ns_id: 3,
	uts_ns_id: 4,
	time_ns_id: 5,
	mnt_ns_id: 6,
	user_ns_id: 7,
	cgroup_ns_id: 8,
} as const;

/** The id of an IPC namespace that is not the restorer's: one that no other namespace has. */
export const OWN_IPC = 9;

/**
 * Ids of what each process has of its own: memory, directories, handlers; and of its descriptor table, which others may have too,
 * and which names fdinfo.
 */
export function kernelIdsOf(processes: readonly Pick<Task, "files" | "ipc">[]): readonly TaskKobjIdsEntry[] {
	const taken = new Set(processes.map(({ files }) => files.table));
	let next = FIRST_ID;
	const fresh = (): number => {
		while (taken.has(next)) next++;
		return next++;
	};
	return processes.map(({ files, ipc }, i) => {
		const id = FIRST_ID + i;
		return {
			...{ vm_id: id, files_id: files.table ?? fresh(), fs_id: id, sighand_id: id, ...NAMESPACES },
			...(ipc === undefined ? {} : { ipc_ns_id: OWN_IPC }),
		};
	});
}

/** No cgroup is named, so that it stays in that of whoever restores it; and no plugin is needed. */
export const inventory: InventoryEntry = {
	img_version: IMG_VERSION,
	fdinfo_per_id: true,
	root_ids: { ...{ vm_id: 1, files_id: 1, fs_id: 1, sighand_id: 1 }, ...NAMESPACES },
	ns_per_id: true,
	plugins_entry: { plugins: [] },
};
