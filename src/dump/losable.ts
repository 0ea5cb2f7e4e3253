/** What a process has around it or in it that does not come back, by the names that --allow-lost knows. */
export const losable = {
	net: "its network namespace",
	uts: "its UTS namespace (names of host and domain)",
	ipc: "its IPC namespace",
	cgroup: "its cgroup namespace",
	"pid-for-children": "a pid namespace for its children",
	"time-for-children": "a time namespace for its children",
	lsm: "its label of a security module",
	ldt: "its local descriptor table (modify_ldt)",
	dispatch: "its system calls' way to a handler (PR_SET_SYSCALL_USER_DISPATCH)",
	"untag-mask": "addresses with tags in them (linear address masking)",
} as const;

export type Losable = keyof typeof losable;
