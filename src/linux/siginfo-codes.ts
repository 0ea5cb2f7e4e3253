import { SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGIO, SIGSEGV, SIGSYS, SIGTRAP } from "./signal.ts";

/** A value of `si_code`: its name in the headers, and what it says of the cause. */
export interface SiginfoCode {
	readonly name: string;
	readonly meaning: string;
}

/** `si_code` values that mean the same for every signal (include/uapi/asm-generic/siginfo.h). */
export const SI = {
	USER: 0,
	KERNEL: 0x80,
	QUEUE: -1,
	TIMER: -2,
	MESGQ: -3,
	ASYNCIO: -4,
	SIGIO: -5,
	TKILL: -6,
	DETHREAD: -7,
	ASYNCNL: -60,
} as const;

const general: ReadonlyMap<number, SiginfoCode> = new Map([
	[SI.USER, { name: "SI_USER", meaning: "sent with kill" }],
	[SI.KERNEL, { name: "SI_KERNEL", meaning: "raised by the kernel" }],
	[SI.QUEUE, { name: "SI_QUEUE", meaning: "sent with sigqueue" }],
	[SI.TIMER, { name: "SI_TIMER", meaning: "a timer expired" }],
	[SI.MESGQ, { name: "SI_MESGQ", meaning: "a message queue filled" }],
	[SI.ASYNCIO, { name: "SI_ASYNCIO", meaning: "asynchronous I/O ended" }],
	[SI.SIGIO, { name: "SI_SIGIO", meaning: "queued SIGIO" }],
	[SI.TKILL, { name: "SI_TKILL", meaning: "sent with tkill" }],
	[SI.DETHREAD, { name: "SI_DETHREAD", meaning: "execve ended the other threads" }],
	[SI.ASYNCNL, { name: "SI_ASYNCNL", meaning: "a name lookup ended" }],
]);

/** Codes from 1 up, whose meaning depends on the signal; gaps are codes no x86 kernel uses. */
const bySignal: ReadonlyMap<number, ReadonlyMap<number, SiginfoCode>> = new Map(
	(
		[
			[
				SIGILL,
				"ILL",
				{ 1: "ILLOPC illegal opcode", 2: "ILLOPN illegal operand", 3: "ILLADR illegal addressing mode" },
				{ 4: "ILLTRP illegal trap", 5: "PRVOPC privileged opcode", 6: "PRVREG privileged register" },
				{ 7: "COPROC coprocessor error", 8: "BADSTK internal stack error", 9: "BADIADDR bad instruction address" },
			],
			[
				SIGFPE,
				"FPE",
				{ 1: "INTDIV integer divide by zero", 2: "INTOVF integer overflow", 3: "FLTDIV division by zero" },
				{ 4: "FLTOVF overflow", 5: "FLTUND underflow", 6: "FLTRES inexact result", 7: "FLTINV invalid operation" },
				{ 8: "FLTSUB subscript out of range", 14: "FLTUNK undiagnosed exception", 15: "CONDTRAP trap on condition" },
			],
			[
				SIGSEGV,
				"SEGV",
				{ 1: "MAPERR address not mapped", 2: "ACCERR permission denied", 3: "BNDERR bounds exceeded" },
				{ 4: "PKUERR protection key denies", 10: "CPERR control protection fault" },
			],
			[
				SIGBUS,
				"BUS",
				{ 1: "ADRALN misaligned address", 2: "ADRERR nothing at that address", 3: "OBJERR object error" },
				{ 4: "MCEERR_AR memory failure", 5: "MCEERR_AO memory failure elsewhere" },
			],
			[
				SIGTRAP,
				"TRAP",
				{ 1: "BRKPT breakpoint", 2: "TRACE single step", 3: "BRANCH branch trap", 4: "HWBKPT hardware breakpoint" },
				{ 5: "UNK undiagnosed trap", 6: "PERF performance event" },
			],
			[
				SIGCHLD,
				"CLD",
				{ 1: "EXITED exited", 2: "KILLED was killed", 3: "DUMPED was killed and dumped core" },
				{ 4: "TRAPPED trapped", 5: "STOPPED stopped", 6: "CONTINUED continued" },
			],
			[
				SIGIO,
				"POLL",
				{ 1: "IN input available", 2: "OUT output possible", 3: "MSG message available" },
				{ 4: "ERR I/O error", 5: "PRI urgent input", 6: "HUP hung up" },
			],
			[SIGSYS, "SYS", { 1: "SECCOMP seccomp refused", 2: "USER_DISPATCH handed to user space" }],
		] satisfies readonly (readonly [number, string, ...Readonly<Record<number, string>>[]])[]
	).map(([signal, prefix, ...tables]): [number, ReadonlyMap<number, SiginfoCode>] => [
		signal,
		new Map(
			tables
				.flatMap((codes) => Object.entries(codes))
				.map(([code, words]): [number, SiginfoCode] => {
					const gap = words.indexOf(" ");
					return [Number(code), { name: `${prefix}_${words.slice(0, gap)}`, meaning: words.slice(gap + 1) }];
				}),
		),
	]),
);

/** What `si_code` says for that signal, or `undefined` for a code neither table knows. */
export const siginfoCode = (signal: number, code: number): SiginfoCode | undefined =>
	bySignal.get(signal)?.get(code) ?? general.get(code);

/** `SEGV_MAPERR`, `SI_TKILL`, or the bare number. */
export const siginfoCodeName = (signal: number, code: number): string =>
	siginfoCode(signal, code)?.name ?? code.toString();
