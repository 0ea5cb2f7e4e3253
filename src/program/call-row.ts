import type { SyscallName } from "../arch/x86-64/syscalls.ts";
import type { Arg } from "./args.ts";
import type { Spell } from "./kinds.ts";

/** All that is known of a call, but for its number. */
export interface CallRow {
	/** The kinds of its arguments, by which they are printed. One that is missing is printed in hexadecimal. */
	readonly args: readonly Spell[];
	/** How many arguments must be given; those left out are 0. All of them where absent. */
	readonly least?: number;
	/** Its result is an address; a number where absent. */
	readonly returns?: "address";
	/** What helps when it fails; the first that fits is told, so what is special stands before what is general. */
	readonly remedies?: readonly Remedy[];
	/** The blob's own number of a deed that is not one system call. */
	readonly deed?: number;
}

/** Rows of system calls: a name that is none does not compile. */
export type SystemCallRows = Readonly<Partial<Record<SyscallName, CallRow>>>;

/** What to do when a call fails in a way that is known. */
export interface Remedy {
	readonly errno: string;
	readonly text: string;
	readonly when?: (step: FailedCall) => boolean;
}

/** What a remedy may depend on. */
export interface FailedCall {
	readonly args: readonly Arg[];
	readonly stage?: string;
}

export const remedy = (errno: string, text: string, when?: Remedy["when"]): Remedy => ({
	errno,
	text,
	...(when === undefined ? {} : { when }),
});

const literal = ({ args }: FailedCall, index: number): bigint => {
	const arg = args[index];
	return typeof arg === "bigint" ? BigInt.asUintN(64, arg) : 0n;
};

/** Whether an argument has a value. */
export const has =
	(index: number, value: number) =>
	(step: FailedCall): boolean =>
		literal(step, index) === BigInt(value);

/** Whether an argument has a flag. */
export const hasFlag =
	(index: number, flag: number) =>
	(step: FailedCall): boolean =>
		(literal(step, index) & BigInt(flag)) !== 0n;

/** Whether the call is of a stage of a plan. */
export const inStage =
	(stage: string) =>
	(step: FailedCall): boolean =>
		step.stage === stage;

/** What helps after any call, where nothing more special is known. */
export const usualRemedies: readonly Remedy[] = [
	remedy("ENOSPC", "free space on the file system (of /dev/shm for shared memory)"),
	remedy("EDQUOT", "free space of this user's quota"),
	remedy("EMFILE", "raise RLIMIT_NOFILE"),
	remedy("ENFILE", "raise fs.file-max"),
	remedy("ENOMEM", "free memory"),
	remedy("EIO", "look at the disk that holds the files"),
	remedy("ENOSYS", "this kernel does not have the call, or a seccomp filter hides it"),
];
