import { layout, u64 } from "../bytes/layout.ts";

/** Signals of x86-64 (arch/x86/include/uapi/asm/signal.h), 1 to 31 in order. */
// biome-ignore format: a table
const standard = [
	"SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1",
	"SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP",
	"SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
	"SIGSYS",
] as const;

const standardNumbers = Object.fromEntries(standard.map((name, i) => [name, i + 1])) as Readonly<
	Record<(typeof standard)[number], number>
>;

export const { SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV } = standardNumbers;
export const { SIGCHLD, SIGSTOP, SIGIO, SIGSYS, SIGWINCH } = standardNumbers;

/** What stops a process by default, and SIGCONT takes away (signal(7)). */
export const STOP_SIGNALS: readonly number[] = [
	SIGSTOP,
	standardNumbers.SIGTSTP,
	standardNumbers.SIGTTIN,
	standardNumbers.SIGTTOU,
];

/** The last signal; there is no signal 0. */
export const SIGNAL_MAX = 64;

/**
 * The first real-time signal as programs count them. The kernel's is 32, but glibc keeps 32 and 33 for its own threads
 * (cancellation, set*id), and both its SIGRTMIN and `kill -l` start here.
 */
export const SIGRTMIN = 34;

/** `SIGSEGV` for 11, `SIGRTMIN+2` for 36, `SIG32` for what has no public name. */
export const signalName = (signal: number): string => {
	const name = standard[signal - 1];
	if (name !== undefined) return name;
	if (signal < SIGRTMIN || signal > SIGNAL_MAX) return `SIG${signal}`;
	return signal === SIGRTMIN ? "SIGRTMIN" : `SIGRTMIN+${signal - SIGRTMIN}`;
};

/** The inverse of {@link signalName}, for any signal 1 to 64; `SIGRTMAX-n` and the old names are understood too. */
export const signalNumber = (name: string): number | undefined => numbers.get(name);

const numbers: ReadonlyMap<string, number> = new Map([
	...Array.from({ length: SIGNAL_MAX }, (_, i): [string, number] => [signalName(i + 1), i + 1]),
	...Array.from({ length: SIGNAL_MAX - SIGRTMIN + 1 }, (_, n): [string, number] => [
		n === 0 ? "SIGRTMAX" : `SIGRTMAX-${n}`,
		SIGNAL_MAX - n,
	]),
	["SIGIOT", SIGABRT],
	["SIGPOLL", SIGIO],
	["SIGCLD", SIGCHLD],
]);

/** A set of signals as the kernel keeps it (`sigset_t`): bit n-1 stands for signal n. */
export type SignalSet = bigint;

export const ALL_SIGNALS: SignalSet = (1n << 64n) - 1n;

/** The bit of one signal. */
export const signalBit = (signal: number): SignalSet => {
	if (!Number.isInteger(signal) || signal < 1 || signal > SIGNAL_MAX) throw new RangeError(`no signal ${signal}`);
	return 1n << BigInt(signal - 1);
};

export const hasSignal = (set: SignalSet, signal: number): boolean => (set & signalBit(signal)) !== 0n;

/** The signals of a set, ascending. Bits above 64 are ignored. */
export const signalsIn = (set: SignalSet): number[] =>
	Array.from({ length: SIGNAL_MAX }, (_, i) => i + 1).filter((signal) => hasSignal(set, signal));

export const withSignals = (set: SignalSet, ...signals: readonly number[]): SignalSet =>
	signals.reduce((left, signal) => left | signalBit(signal), set);

/** The set without some signals. The kernel drops SIGKILL and SIGSTOP from every mask in just this way. */
export const withoutSignals = (set: SignalSet, ...signals: readonly number[]): SignalSet =>
	signals.reduce((left, signal) => left & ~signalBit(signal), set);

/** `SIGINT, SIGCHLD`, or `none`. */
export const signalSetText = (set: SignalSet): string => signalsIn(set).map(signalName).join(", ") || "none";

/** What a signal does, where no handler is called. */
export const [SIG_DFL, SIG_IGN] = [0n, 1n] as const;

/** `struct sigaction` of the kernel, not of libc (arch/x86/include/uapi/asm/signal.h): 32 bytes. */
export const kernelSigaction = layout("kernel_sigaction", {
	/** {@link SIG_DFL}, {@link SIG_IGN}, or an address. */
	sa_handler: u64,
	sa_flags: u64,
	sa_restorer: u64,
	sa_mask: u64,
});

/** Bytes of the kernel's `sigset_t`, the last argument of most signal calls. */
export const SIGSET_BYTES = 8n;

/** First argument of rt_sigprocmask(2): the set becomes the mask. */
export const SIG_SETMASK = 2n;

/** `stack_t.ss_flags`: there is none. */
export const SS_DISABLE = 2;

/** `stack_t.ss_flags`: while a handler runs on it, there is none. */
export const SS_AUTODISARM = 0x8000_0000;

/** MINSIGSTKSZ: a smaller alternate stack is refused, by rt_sigreturn without a word. Bytes. */
export const SMALLEST_ALTERNATE_STACK = 2048n;
