import { type CallRow, remedy } from "./call-row.ts";
import { count, hexadecimal, int, pointer } from "./kinds.ts";
import { CHECKPOINT, clone } from "./process-calls.ts";
import { frameAt } from "./signal-calls.ts";

/** The deeds of the blob that are not one system call (src/blob/blob.h). */
export const deedCalls = {
	/** clone3(args, size); the child goes on with a context at the first step of a list. */
	spawn: {
		deed: 0xff01,
		args: [clone, count, pointer, hexadecimal],
		remedies: [
			remedy("EEXIST", "the id is taken: end its holder, or restore with --pid-namespace or --fresh-ids"),
			remedy("EPERM", `${CHECKPOINT} over the pid namespace, or --pid-namespace, or --fresh-ids`),
			remedy("EINVAL", "ids end at kernel.pid_max: raise it, or restore with --pid-namespace or --fresh-ids"),
			remedy("EAGAIN", "too many tasks: raise RLIMIT_NPROC, kernel.threads-max or the cgroup's pids.max"),
		],
	},
	/** Sleep on a futex until its word has a value. */
	await: { deed: 0xff02, args: [pointer, int] },
	/** rt_sigreturn from a frame: nothing comes after. */
	leave: { deed: 0xff03, args: [frameAt] },
	/** cpuid(leaf, subleaf, where four words go). */
	cpuid: { deed: 0xff04, args: [hexadecimal, hexadecimal, pointer] },
	/** Go on at another step when a value, masked, is another: (value, mask, wanted, step). */
	branch: { deed: 0xff05, args: [hexadecimal, hexadecimal, hexadecimal, pointer] },
	/**
	 * As `spawn`, by clone(2), which takes flags, exit_signal, stack, tls, parent_tid and child_tid of the same struct: the ids
	 * are the kernel's choice. For where clone3 is hidden.
	 */
	clone: { deed: 0xff06, args: [clone, count, pointer, hexadecimal] },
} as const satisfies Readonly<Record<string, CallRow & { readonly deed: number }>>;
