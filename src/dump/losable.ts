/** What a process may have that does not come back, by the names of --allow-lost. */
export const losable = {
	net: "its network namespace",
	uts: "its UTS namespace (names of host and domain)",
	ipc: "its IPC namespace",
	cgroup: "its cgroup namespace",
	"pid-for-children": "a pid namespace for its children",
	"time-for-children": "a time namespace for its children",
	lsm: "its label of a security module",
	cwd: "its working directory, which was deleted",
	root: "its root directory, which was deleted",
	links: "files that have lost their names, but have others (hard links) elsewhere",
	ldt: "its local descriptor table (modify_ldt)",
	dispatch: "its system calls' way to a handler (PR_SET_SYSCALL_USER_DISPATCH)",
	"untag-mask": "addresses with tags in them (linear address masking)",
} as const;

/** What becomes of it, where that is not the restorer's own or nothing. */
export const instead: Readonly<Partial<Record<Losable, string>>> = {
	cwd: "it comes back in the nearest directory that is there",
	root: "it comes back in the nearest directory that is there",
	links: "it comes back as a copy without a name",
};

export type Losable = keyof typeof losable;
