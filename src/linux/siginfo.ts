import { type Address, address } from "../bytes/address.ts";
import { bytes, type Codec, i16, i32, i64, layout, type Struct, u32, u64, viewOf } from "../bytes/layout.ts";
import { refuse } from "../errors.ts";
import { SI, siginfoCode } from "./siginfo-codes.ts";
import { SIGBUS, SIGCHLD, SIGIO, SIGSEGV, SIGSYS, SIGTRAP } from "./signal.ts";

/** Bytes of `siginfo_t`, whatever the signal. */
export const SIGINFO_SIZE = 128;

/** Where the union `_sifields` begins: it is aligned to 8, because some members hold pointers. */
export const SIGINFO_UNION = 16;

/** What every `siginfo_t` starts with (include/uapi/asm-generic/siginfo.h). */
export const siginfoHead = layout("siginfo", { si_signo: i32, si_errno: i32, si_code: i32 });

export type SiginfoHead = Struct<typeof siginfoHead>;

/** The members of `union __sifields`, each relative to byte 16. */
export const siginfoFields = {
	kill: layout("_kill", { pid: i32, uid: u32 }),
	timer: layout("_timer", { tid: i32, overrun: i32, sigval: u64, sys_private: i32 }),
	rt: layout("_rt", { pid: i32, uid: u32, sigval: u64 }),
	sigchld: layout("_sigchld", { pid: i32, uid: u32, status: i32, utime: i64, stime: i64 }),
	sigfault: layout("_sigfault", { addr: u64, addr_lsb: i16, lower: u64, upper: u64 }),
	/** `_sigfault` again, as a protection key fault fills it. */
	pkey: layout("_addr_pkey", { addr: u64, _dummy_pkey: u64, pkey: u32 }),
	perf: layout("_perf", { addr: u64, data: u64, type: u32, flags: u32 }),
	sigpoll: layout("_sigpoll", { band: i64, fd: i32 }),
	sigsys: layout("_sigsys", { call_addr: u64, syscall: i32, arch: u32 }),
} as const;

/** Why a signal came. Which case holds is for `si_signo` and `si_code` to say, as in kernel/signal.c, siginfo_layout(). */
export type SiginfoCause =
	| { readonly kind: "kill"; readonly pid: number; readonly uid: number }
	| { readonly kind: "queue"; readonly pid: number; readonly uid: number; readonly value: bigint }
	| { readonly kind: "timer"; readonly tid: number; readonly overrun: number; readonly value: bigint }
	| { readonly kind: "child"; readonly pid: number; readonly uid: number; readonly status: number }
	| { readonly kind: "fault"; readonly addr: Address }
	| { readonly kind: "fault-memory"; readonly addr: Address /** log2 of the bytes lost */; readonly addrLsb: number }
	| { readonly kind: "fault-bounds"; readonly addr: Address; readonly lower: Address; readonly upper: Address }
	| { readonly kind: "fault-pkey"; readonly addr: Address; readonly pkey: number }
	| { readonly kind: "perf"; readonly addr: Address; readonly data: bigint; readonly type: number }
	| { readonly kind: "poll"; readonly band: bigint; readonly fd: number }
	| { readonly kind: "sys"; readonly callAddr: Address; readonly syscall: number; readonly arch: number };

/** A siginfo with its union read as the case that its signal and code select. */
export interface Siginfo extends SiginfoHead {
	readonly cause: SiginfoCause;
}

const SEGV_BNDERR = 3;
const SEGV_PKUERR = 4;
const BUS_MCEERR_AR = 4;
const BUS_MCEERR_AO = 5;
const TRAP_PERF = 6;
const POLL_CODES = 6;

/**
 * Reads the `siginfo_t` of NT_SIGINFO or of a CRIU signal queue.
 *
 * @throws NecromancerError ERR_NOTE_SIZE unless `raw` is exactly 128 long.
 */
export function readSiginfo(raw: Uint8Array, subject = "siginfo"): Siginfo {
	if (raw.length !== SIGINFO_SIZE) {
		refuse("ERR_NOTE_SIZE", {
			subject,
			finding: `siginfo is ${raw.length} bytes`,
			expectation: `expected ${SIGINFO_SIZE}`,
		});
	}
	const head = siginfoHead.decode(raw);
	const view = viewOf(raw);
	return { ...head, cause: readCause(head, (member) => member.read(view, SIGINFO_UNION)) };
}

function readCause({ si_signo, si_code }: SiginfoHead, take: <T>(member: Codec<T>) => T): SiginfoCause {
	if (si_code <= SI.USER || si_code >= SI.KERNEL) {
		if (si_code === SI.TIMER) {
			const { tid, overrun, sigval } = take(siginfoFields.timer);
			return { kind: "timer", tid, overrun, value: sigval };
		}
		if (si_code === SI.SIGIO) return { kind: "poll", ...take(siginfoFields.sigpoll) };
		// tkill leaves the value empty and is a plain sending to everyone but the kernel.
		if (si_code < SI.USER && si_code !== SI.TKILL) {
			const { pid, uid, sigval } = take(siginfoFields.rt);
			return { kind: "queue", pid, uid, value: sigval };
		}
		return { kind: "kill", ...take(siginfoFields.kill) };
	}
	if (siginfoCode(si_signo, si_code) === undefined) {
		return si_code <= POLL_CODES
			? { kind: "poll", ...take(siginfoFields.sigpoll) }
			: { kind: "kill", ...take(siginfoFields.kill) };
	}
	switch (si_signo) {
		case SIGCHLD: {
			const { pid, uid, status } = take(siginfoFields.sigchld);
			return { kind: "child", pid, uid, status };
		}
		case SIGIO:
			return { kind: "poll", ...take(siginfoFields.sigpoll) };
		case SIGSYS: {
			const { call_addr, syscall, arch } = take(siginfoFields.sigsys);
			return { kind: "sys", callAddr: address(call_addr), syscall, arch };
		}
		default:
			return readFault(si_signo, si_code, take);
	}
}

function readFault(signal: number, code: number, take: <T>(member: Codec<T>) => T): SiginfoCause {
	const { addr, addr_lsb, lower, upper } = take(siginfoFields.sigfault);
	const at = address(addr);
	if (signal === SIGSEGV && code === SEGV_BNDERR) {
		return { kind: "fault-bounds", addr: at, lower: address(lower), upper: address(upper) };
	}
	if (signal === SIGSEGV && code === SEGV_PKUERR) {
		return { kind: "fault-pkey", addr: at, pkey: take(siginfoFields.pkey).pkey };
	}
	if (signal === SIGBUS && (code === BUS_MCEERR_AR || code === BUS_MCEERR_AO)) {
		return { kind: "fault-memory", addr: at, addrLsb: addr_lsb };
	}
	if (signal === SIGTRAP && code === TRAP_PERF) {
		const { data, type } = take(siginfoFields.perf);
		return { kind: "perf", addr: at, data, type };
	}
	return { kind: "fault", addr: at };
}

/** `struct sigevent` (include/uapi/asm-generic/siginfo.h), of which the kernel reads the thread of the union: 64 bytes. */
export const sigevent = layout("sigevent", {
	sigev_value: u64,
	sigev_signo: i32,
	sigev_notify: i32,
	/** For SIGEV_THREAD_ID. */
	sigev_notify_thread_id: i32,
	_pad: bytes(44),
});

/** `sigev_notify`. */
export const SIGEV = { SIGNAL: 0, NONE: 1, THREAD: 2, THREAD_ID: 4 } as const;
