import { i32, viewOf } from "../../bytes/layout.ts";
import { caution, loss } from "../../finding.ts";
import type { PosixTimer, Task } from "../../forest/task.ts";
import { cpuClockOf, numberOfCpuClock } from "../../linux/cpu-clock.ts";
import { EINVAL } from "../../linux/errno.ts";
import { PR, PR_TIMER_CREATE_RESTORE_IDS } from "../../linux/prctl.ts";
import { SIGEV, sigevent } from "../../linux/siginfo.ts";
import { CLOCK, ITIMER, itimerspec, itimerval, timespecOf, timevalOf } from "../../linux/time.ts";
import type { Place } from "../../program/args.ts";
import { bytesDatum } from "../../program/data.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";

/** CLOCK_THREAD_CPUTIME_ID, and what the kernel shows of a timer that was made with it. */
const threadTime: readonly number[] = [3, -2];

/** So many ids without a timer are made and thrown away, for kernels before 6.15. */
const MOST_GAPS = 64;

/**
 * Makes the process's timers, with their ids; nothing is armed yet ({@link addTimerStarts}). After the threads: a timer may be
 * for one of them.
 *
 * folklore: a kernel before 6.15 gives every new timer the next id, from 0 on, and cannot be asked for one. There the timers
 * come in the order of their ids, with others in the gaps, which are deleted at once. Where gaps are too many, such a
 * kernel does not do.
 */
export function planTimers({ posixTimers, identity: { pid } }: Task, context: Context): Part {
	if (posixTimers.length === 0) return context.draft.made();
	const { draft } = context;
	const leader = draft.leader;
	const timers = [...posixTimers].sort((a, b) => a.id - b.id);
	const count = (timers.at(-1)?.id ?? 0) + 1;
	const few = count - timers.length <= MOST_GAPS;
	const restoreIds = (on: number): [bigint, bigint, bigint, bigint, bigint] => [
		BigInt(PR.TIMER_CREATE_RESTORE_IDS),
		BigInt(on),
		0n,
		0n,
		0n,
	];
	const tolerant = few ? { expect: { successOr: EINVAL } } : {};
	leader.add("timers", "prctl", restoreIds(PR_TIMER_CREATE_RESTORE_IDS.ON), "timers get their ids back", tolerant);
	let next = 0;
	for (const timer of timers) {
		for (; few && next < timer.id; next++) addGap(leader, next);
		next = timer.id + 1;
		leader.add(
			"timers",
			"timer_create",
			[BigInt(clockOf(timer, pid, context)), eventOf(timer, pid, leader, context), idCell(timer.id)],
			`timer ${timer.id}`,
		);
	}
	leader.add("timers", "prctl", restoreIds(PR_TIMER_CREATE_RESTORE_IDS.OFF), "new timers get any id", tolerant);
	if (few) for (const { id } of timers) leader.add("timers", "timer_getoverrun", [BigInt(id)], `timer ${id} is there`);
	return context.draft.made();
}

/** Starts what ran: at the very last, so that nothing expires in the restorer's hands. */
export function addTimerStarts(list: ListDraft, { intervalTimers, posixTimers }: Task): void {
	const { real, virtual, profiling } = intervalTimers;
	for (const [which, name, { remaining, interval }] of [
		[ITIMER.REAL, "real", real],
		[ITIMER.VIRTUAL, "virtual", virtual],
		[ITIMER.PROF, "profiling", profiling],
	] as const) {
		if (remaining === 0n) continue;
		const value = bytesDatum(
			`${name} interval timer`,
			itimerval.encode({ it_interval: timevalOf(interval), it_value: timevalOf(remaining) }),
		);
		list.add("leave", "setitimer", [BigInt(which), value, 0n], `the ${name} interval timer goes on`);
	}
	for (const { id, remaining, interval } of posixTimers) {
		// a disarmed timer may still show an interval; it is not given back, for it has no effect
		if (remaining === 0n) continue;
		const value = bytesDatum(
			`time of timer ${id}`,
			itimerspec.encode({ it_interval: timespecOf(interval), it_value: timespecOf(remaining) }),
		);
		list.add("leave", "timer_settime", [BigInt(id), 0n, value, 0n], `timer ${id} goes on`);
	}
}

/**
 * A clock of processor time names a process or a thread. Under ids that the kernel chooses it is that of the leader, who makes the timers:
 * it needs no name.
 */
function clockOf({ id, clock }: PosixTimer, pid: number, { draft, ids }: Context): number {
	const own = cpuClockOf(clock);
	if (own === undefined || !ids.cells.has(own.id)) return clock;
	if (own.ofThread && own.id !== pid)
		draft.report(
			loss(
				"timers",
				`timer ${id}`,
				`counted the processor time of thread ${own.id}; under new ids it counts the first's`,
			),
		);
	return numberOfCpuClock({ ...own, id: 0 });
}

function addGap(leader: ListDraft, id: number): void {
	const cell = idCell(id);
	const silent = bytesDatum("no event", eventBytes(0n, 0, SIGEV.NONE, 0));
	leader.add("timers", "timer_create", [BigInt(CLOCK.MONOTONIC), silent, cell], `id ${id} was free`);
	leader.add("timers", "timer_delete", [{ valueOf: cell }], `id ${id} is free again`);
}

/** `timer_t` is an int; the cell is a word, so that a step can use it. */
function idCell(id: number): Place {
	const bytes = new Uint8Array(8);
	i32.write(viewOf(bytes), 0, id);
	return bytesDatum(`id of timer ${id}`, bytes);
}

function eventOf(
	{ id, clock, signal, notify, value, thread, overrun }: PosixTimer,
	pid: number,
	leader: ListDraft,
	{ draft, ids }: Context,
): Place {
	const subject = `timer ${id}`;
	const forThread = (notify & SIGEV.THREAD_ID) !== 0;
	const named = thread !== undefined && thread !== 0;
	if (forThread && !named)
		draft.report(caution("timers", subject, "was for a thread that is not known; its signals go to the first"));
	if (threadTime.includes(clock))
		draft.report(
			caution("timers", subject, "counted the processor time of a thread that is not known; now it is the first's"),
		);
	if (overrun !== 0)
		draft.report(loss("timers", subject, `had expired ${overrun} times unseen; that count starts again`));
	const receiver = forThread ? (named ? thread : pid) : 0;
	const event = bytesDatum(`event of timer ${id}`, eventBytes(value, signal, notify, receiver));
	const at = { ...event, offset: sigevent.offsetOf("sigev_notify_thread_id") };
	ids.rewrite(leader, "timers", receiver, at, `who gets the signal of timer ${id}`);
	return event;
}

const eventBytes = (value: bigint, signal: number, notify: number, thread: number): Uint8Array =>
	sigevent.encode({
		sigev_value: value,
		sigev_signo: signal,
		sigev_notify: notify,
		sigev_notify_thread_id: thread,
		_pad: new Uint8Array(),
	});
