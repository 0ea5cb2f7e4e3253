import { type SyscallName, syscallNumber } from "../arch/x86-64/syscalls.ts";
import { agentCalls } from "./agent-calls.ts";
import { type CallRow, type FailedCall, usualRemedies } from "./call-row.ts";
import { deedCalls } from "./deed-calls.ts";
import { fileCalls } from "./file-calls.ts";
import { ipcCalls } from "./ipc-calls.ts";
import { memoryCalls } from "./memory-calls.ts";
import { processCalls } from "./process-calls.ts";
import { signalCalls } from "./signal-calls.ts";
import { socketCalls } from "./socket-calls.ts";

/** Every call that the blob is ever told to make. */
const systemCalls = {
	...{ ...memoryCalls, ...fileCalls, ...socketCalls, ...ipcCalls },
	...{ ...processCalls, ...signalCalls, ...agentCalls },
} as const;

/** Ends a list of steps. */
export const DO_END = 0xff00;

type DeedName = keyof typeof deedCalls;

/** A system call by its name (unistd.h), or a deed of the blob. */
export type CallName = keyof typeof systemCalls | DeedName;

type Rows = typeof systemCalls & typeof deedCalls;

/** As many arguments as a call takes: neither one more nor one less compiles. */
export type ArgsOf<C extends CallName, A> = Rows[C] extends { readonly least: infer Least }
	? AsMany<DownTo<Least, Rows[C]["args"]>, A>
	: AsMany<Rows[C]["args"], A>;

type AsMany<T extends readonly unknown[], A> = { readonly [I in keyof T]: A };

/** A tuple, and its beginnings down to a length. */
type DownTo<Least, T extends readonly unknown[]> = T["length"] extends Least
	? T
	: T extends readonly [...infer Others, unknown]
		? T | DownTo<Least, Others>
		: T;

/** A call with its arguments, as a value. */
export interface CallOf<C extends CallName, A> {
	readonly call: C;
	readonly args: ArgsOf<C, A>;
}

/** The arguments of a call, each as something else. */
export const mapArgs = <C extends CallName, A, B>({ args }: CallOf<C, A>, to: (arg: A) => B): ArgsOf<C, B> =>
	(args as readonly A[]).map(to) as unknown as ArgsOf<C, B>;

/** What is known of a call. */
export const callRow = (name: CallName): CallRow => (isDeed(name) ? deedCalls[name] : systemCalls[name]);

/** The number the blob knows a call by. */
export const callNumber = (name: CallName): number =>
	isDeed(name) ? deedCalls[name].deed : syscallNumber(name satisfies SyscallName);

const isDeed = (name: CallName): name is DeedName => Object.hasOwn(deedCalls, name);

/** What is known to help when a call ends with this errno. */
export const remedyFor = (step: FailedCall & { readonly call: CallName }, errno: string): string | undefined =>
	[...(callRow(step.call).remedies ?? []), ...usualRemedies].find(
		(known) => known.errno === errno && known.when?.(step) !== false,
	)?.text;
