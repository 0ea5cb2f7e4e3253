/** What CRIU's images may have around a process, and a restore of ours does not make, by the names that --allow-lost knows. */
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
