import type { InventoryEntry, TaskKobjIdsEntry } from "../../criu/wire/generated/schema.ts";

/** The layout with a magic common to all images, which CRIU has written since 2.0. */
const IMG_VERSION = 2;

/** Of the process's descriptor table; it names fdinfo. */
export const FILES_ID = 2;

/** Equal in the inventory and in the process: it has the namespaces of whoever restores it. */
const NAMESPACES = {
	pid_ns_id: 1,
	net_ns_id: 2,
	ipc_ns_id: 3,
	uts_ns_id: 4,
	time_ns_id: 5,
	mnt_ns_id: 6,
	user_ns_id: 7,
	cgroup_ns_id: 8,
} as const;

/** What the process has of its own: memory, descriptors, directories, handlers. */
export const kernelIds: TaskKobjIdsEntry = {
	...{ vm_id: 2, files_id: FILES_ID, fs_id: 2, sighand_id: 2 },
	...NAMESPACES,
};

/** No cgroup is named, so that it stays in that of whoever restores it; and no plugin is needed. */
export const inventory: InventoryEntry = {
	img_version: IMG_VERSION,
	fdinfo_per_id: true,
	root_ids: { ...{ vm_id: 1, files_id: 1, fs_id: 1, sighand_id: 1 }, ...NAMESPACES },
	ns_per_id: true,
	plugins_entry: { plugins: [] },
};
