import { defined } from "../../bytes/defined.ts";
import { ACTION_SIGNALS } from "../../criu/vma.ts";
import type { ItimerEntry, PosixTimerEntry, SaEntry, TaskCoreEntry } from "../../criu/wire/generated/schema.ts";
import type { IntervalTimer, PosixTimer, SignalAction, Task, Thread } from "../../forest/task.ts";

const ALIVE = 1;
const DEAD = 2;
const STOPPED = 3;

/** PF_RANDOMIZE, which nearly every process has; nothing reads it. */
const USUAL_FLAGS = 0x40_0000;

/**
 * The task part of the leader's core image: name, mask, handlers, pending signals, timers, limits. What else `base`
 * says stays, save the signal that would stop it again.
 */
export function taskCore(task: Task, leader: Thread, base?: TaskCoreEntry): TaskCoreEntry {
	const actions = new Map(task.signalActions.map((action) => [action.signal, action]));
	const { stop_signo: _stop, ...kept } = base ?? { personality: 0, flags: USUAL_FLAGS };
	const { real, virtual, profiling } = task.intervalTimers;
	const records = new Map(base?.timers?.posix.map((record) => [record.it_id, record]));
	const { oomScoreAdjust, childSubreaper } = task.identity;
	const membarrier = task.attributes?.membarrier;
	return {
		...kept,
		task_state: task.stopped ? STOPPED : ALIVE,
		...(task.stopped ? defined({ stop_signo: task.stopSignal }) : {}),
		personality: Number(personalityOf(task)),
		exit_code: 0,
		comm: task.identity.comm,
		blk_sigset: leader.blocked,
		signals_s: { ...base?.signals_s, signals: task.pending.map((siginfo) => ({ siginfo })) },
		sigactions: ACTION_SIGNALS.map((signal, i) => saEntry(actions.get(signal), base?.sigactions[i])),
		timers: {
			...base?.timers,
			real: itimerEntry(real, base?.timers?.real),
			virt: itimerEntry(virtual, base?.timers?.virt),
			prof: itimerEntry(profiling, base?.timers?.prof),
			posix: task.posixTimers.map((timer) => posixTimerEntry(timer, records.get(timer.id))),
		},
		rlimits: {
			...base?.rlimits,
			rlimits: task.limits.map(({ soft, hard }, i) => ({ ...base?.rlimits?.rlimits[i], cur: soft, max: hard })),
		},
		...defined({ oom_score_adj: oomScoreAdjust, child_subreaper: childSubreaper }),
		...(membarrier === undefined ? {} : { membarrier_registration_mask: Number(membarrier) }),
	};
}

/** The task part of a process that has ended. @param status as wait(2) gives it. */
export const zombieTask = (comm: string, status: number): TaskCoreEntry => ({
	...{ task_state: DEAD, personality: 0, flags: USUAL_FLAGS, exit_code: status, comm, blk_sigset: 0n, sigactions: [] },
});

/** Of the leader: images have one for all threads. */
export const personalityOf = ({ threads: [leader] }: Pick<Task, "threads">): bigint =>
	leader?.attributes?.personality ?? 0n;

const DEFAULT: SaEntry = { sigaction: 0n, flags: 0n, restorer: 0n, mask: 0n };

/** A signal of whose action nothing is known keeps that of the base, or has the default one. */
const saEntry = (action: SignalAction | undefined, base: SaEntry | undefined): SaEntry =>
	action === undefined
		? (base ?? DEFAULT)
		: { ...base, sigaction: action.handler, flags: action.flags, restorer: action.restorer, mask: action.mask };

const MICROSECONDS = 1_000_000n;
const NANOSECONDS = 1_000_000_000n;

const itimerEntry = ({ remaining, interval }: IntervalTimer, base: ItimerEntry | undefined): ItimerEntry => ({
	...base,
	isec: interval / MICROSECONDS,
	iusec: interval % MICROSECONDS,
	vsec: remaining / MICROSECONDS,
	vusec: remaining % MICROSECONDS,
});

const posixTimerEntry = (timer: PosixTimer, base: PosixTimerEntry | undefined): PosixTimerEntry => ({
	...base,
	it_id: timer.id,
	clock_id: timer.clock >>> 0,
	si_signo: timer.signal,
	it_sigev_notify: timer.notify,
	sival_ptr: timer.value,
	overrun: timer.overrun,
	isec: timer.interval / NANOSECONDS,
	insec: timer.interval % NANOSECONDS,
	vsec: timer.remaining / NANOSECONDS,
	vnsec: timer.remaining % NANOSECONDS,
	...defined({ notify_thread_id: timer.thread }),
});
