import { type SyscallName, syscallNumber } from "../arch/x86-64/syscalls.ts";

/** The deeds of the blob that are not one system call (src/blob/blob.h). */
export const deeds = {
	/** clone3(args, size); the child goes on with a context at the first step of a list. */
	spawn: 0xff01,
	/** Sleep on a futex until its word has a value. */
	await: 0xff02,
	/** rt_sigreturn from a frame: nothing comes after. */
	leave: 0xff03,
	/** cpuid(leaf, subleaf, where four words go). */
	cpuid: 0xff04,
	/** Go on at another step when a value, masked, is another: (value, mask, wanted, step). */
	branch: 0xff05,
	/**
	 * As `spawn`, by clone(2), which takes flags, exit_signal, stack, tls, parent_tid and child_tid of the same struct: the ids
	 * are the kernel's choice. For where clone3 is hidden.
	 */
	clone: 0xff06,
} as const;

/** Ends a list of steps. */
export const DO_END = 0xff00;

/** A system call by its name (unistd.h), or a deed. */
export type CallName = SyscallName | keyof typeof deeds;

/** The number the blob knows a call by. */
export const callNumber = (name: CallName): number => (isDeed(name) ? deeds[name] : syscallNumber(name));

const isDeed = (name: CallName): name is keyof typeof deeds => Object.hasOwn(deeds, name);
