import { type SyscallName, syscallNumber } from "../arch/x86-64/syscalls.ts";
import { agentCalls } from "./agent-calls.ts";
import { type CallRow, type FailedCall, usualRemedies } from "./call-row.ts";
import { deedCalls } from "./deed-calls.ts";
import { fileCalls } from "./file-calls.ts";
import { memoryCalls } from "./memory-calls.ts";
import { processCalls } from "./process-calls.ts";
import { signalCalls } from "./signal-calls.ts";

/** Every call that the blob is ever told to make. */
const systemCalls = { ...memoryCalls, ...fileCalls, ...processCalls, ...signalCalls, ...agentCalls } as const;

/** Ends a list of steps. */
export const DO_END = 0xff00;

type DeedName = keyof typeof deedCalls;

/** A system call by its name (unistd.h), or a deed of the blob. */
export type CallName = keyof typeof systemCalls | DeedName;

type Rows = typeof systemCalls & typeof deedCalls;

/** As many arguments as a call takes, or fewer; one more does not compile. */
export type ArgsOf<C extends CallName, A> = UpTo<Rows[C]["args"], A>;

type UpTo<T extends readonly unknown[], A> = { readonly [I in keyof T]?: A };

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
