/** What CRIU's images may hold and our restore does not recreate, by the names of --allow-lost. */
export const imageLosable = {
	user: "its user namespace",
	mnt: "its mount namespace",
	pid: "its pid namespace",
	net: "its network namespace",
	uts: "its UTS namespace (names of host and domain)",
	ipc: "its IPC namespace",
	cgroup: "its cgroup namespace",
	cwd: "its working directory, which was deleted",
	root: "its root directory, which was deleted",
} as const;

export type ImageLosable = keyof typeof imageLosable;
