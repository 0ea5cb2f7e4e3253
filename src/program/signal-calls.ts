import { sigcontext, stackT, ucontext } from "../arch/x86-64/sigframe.ts";
import { describeSiginfo } from "../arch/x86-64/siginfo-text.ts";
import { SIGEV, SIGINFO_SIZE, sigevent } from "../linux/siginfo.ts";
import { kernelSigaction } from "../linux/signal.ts";
import { ITIMER } from "../linux/time.ts";
import { remedy, type SystemCallRows } from "./call-row.ts";
import {
	bytesAt,
	count,
	flags,
	hexadecimal,
	int,
	known,
	oneOf,
	pointer,
	pointerTo,
	type Show,
	type Spell,
	signal,
	signalSet,
	signalSetWords,
} from "./kinds.ts";
import { struct, within } from "./structs.ts";
import { clock, intervalTimes, timerTimes } from "./times.ts";

/** `sa_flags` (arch/x86/include/uapi/asm/signal.h, include/uapi/asm-generic/signal-defs.h). */
const SA = {
	...{ NOCLDSTOP: 0x1, NOCLDWAIT: 0x2, SIGINFO: 0x4, UNSUPPORTED: 0x400, EXPOSE_TAGBITS: 0x800 },
	...{ RESTORER: 0x400_0000, ONSTACK: 0x800_0000, RESTART: 0x1000_0000, NODEFER: 0x4000_0000 },
	RESETHAND: 0x8000_0000,
};

const set = known(signalSetWords);
const handler = known((value) => (value === 1n ? "SIG_IGN" : `0x${value.toString(16)}`));
const action = pointerTo((place) => {
	const shown = struct(kernelSigaction, {
		sa_handler: handler,
		sa_flags: flags(SA, "SA_"),
		sa_restorer: pointer,
		sa_mask: set,
	})(place);
	return shown === "{}" ? "{SIG_DFL}" : shown;
});

/** SS_ (include/uapi/linux/signal.h). */
const stackFlags = flags({ SS_ONSTACK: 1, SS_DISABLE: 2, SS_AUTODISARM: 0x8000_0000 });
const stackAt = struct(stackT, { ss_sp: pointer, ss_flags: stackFlags, ss_size: count });

const event = pointerTo(
	struct(sigevent, {
		sigev_value: hexadecimal,
		sigev_signo: signal,
		sigev_notify: oneOf(SIGEV, "SIGEV_"),
		sigev_notify_thread_id: int,
	}),
);

const info: Spell = pointerTo((place) => `{${describeSiginfo(bytesAt(place, SIGINFO_SIZE))}}`);

/** Where a thread goes on, and with which signals. */
const frame: Show = (place) => {
	const { uc_sigmask, uc_mcontext, uc_stack } = ucontext.decode(bytesAt(place, ucontext.size));
	const { rip, rsp, rax } = uc_mcontext;
	const stack = uc_stack.ss_sp === 0n ? "" : `, uc_stack=${stackAt(within(place, ucontext.offsetOf("uc_stack")))}`;
	const words = Object.entries({ rip, rsp, rax }).map(([name, value]) => `${name}=0x${value.toString(16)}`);
	return `{${words.join(", ")}${stack}, uc_sigmask=${signalSetWords(uc_sigmask)}}`;
};

/** A frame, if there is room for one. */
export const frameAt: Spell = (arg, args) =>
	pointerTo((place) =>
		place.datum.size - (place.offset ?? 0) >= ucontext.offsetOf("uc_mcontext") + sigcontext.size
			? frame(place)
			: pointer(place, []),
	)(arg, args);

const SIGPENDING = "raise RLIMIT_SIGPENDING of this user";

export const signalCalls = {
	kill: { args: [int, signal] },
	rt_sigaction: { args: [signal, action, pointer, count] },
	rt_sigprocmask: { args: [oneOf({ SIG_BLOCK: 0, SIG_UNBLOCK: 1, SIG_SETMASK: 2 }), signalSet, pointer, count] },
	rt_sigqueueinfo: { args: [int, signal, info], remedies: [remedy("EAGAIN", SIGPENDING)] },
	rt_tgsigqueueinfo: { args: [int, int, signal, info], remedies: [remedy("EAGAIN", SIGPENDING)] },
	rt_sigtimedwait: { args: [signalSet, pointer, pointer, count] },
	setitimer: { args: [oneOf(ITIMER, "ITIMER_"), intervalTimes, pointer] },
	sigaltstack: { args: [pointerTo(stackAt), pointer] },
	tgkill: { args: [int, int, signal] },
	tkill: { args: [int, signal] },
	timer_create: { args: [clock, event, pointer], remedies: [remedy("EAGAIN", SIGPENDING)] },
	timer_delete: { args: [hexadecimal] },
	timer_settime: { args: [hexadecimal, flags({ TIMER_ABSTIME: 1 }), timerTimes, pointer] },
} as const satisfies SystemCallRows;
