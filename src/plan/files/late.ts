import { caution } from "../../finding.ts";
import type { Description, SignalOwner, Timerfd } from "../../forest/files.ts";
import type { Task } from "../../forest/task.ts";
import { ESRCH } from "../../linux/errno.ts";
import { F, F_OWNER, fOwnerEx, SETTABLE_FLAGS } from "../../linux/fcntl.ts";
import { O } from "../../linux/open.ts";
import { CLOCK, itimerspec, TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME, timespecOf } from "../../linux/time.ts";
import { bytesDatum } from "../../program/data.ts";
import { expiryOf } from "../clocks.ts";
import type { Context } from "../context.ts";
import type { ListDraft, Part } from "../part.ts";
import { type FilePolicy, slotsOf } from "./slots.ts";
import { word } from "./special.ts";

/**
 * What descriptors do by themselves, set going last: timers, and signals about input, whose owner may be a thread and
 * whose sender is remembered with the credentials of who sets it.
 */
export function planArming(task: Task, context: Context, policy: FilePolicy): Part {
	const list = context.draft.leader;
	const done = new Set<string>();
	for (const { number, key, content } of slotsOf(task.files, policy, () => {})) {
		if (content.kind === "substitute" || done.has(key)) continue;
		done.add(key);
		if (content.kind === "timerfd") arm(task, context, list, number, content);
		if (content.owner !== undefined) setOwner(task, context, list, number, content.owner);
		if ((content.flags & O.ASYNC) !== 0) setAsync(list, number, content);
	}
	return context.draft.made();
}

/**
 * Set to a time, where the clock goes on by which that is meant; else to what was left. By the process itself: its clock need
 * not be the restorer's.
 */
function arm(task: Task, context: Context, list: ListDraft, number: number, timer: Timerfd): void {
	const { draft } = context;
	const { clock, ticks, settings, remaining, interval } = timer;
	const fd = BigInt(number);
	const absolute = (settings & TFD_TIMER_ABSTIME) !== 0 && remaining !== 0n;
	const expiry = absolute ? expiryOf(clock, remaining, task, context) : undefined;
	if (absolute && expiry === undefined && REALTIME.includes(clock))
		draft.report(
			caution(
				"timers",
				`timer descriptor ${number}`,
				"was set to a time of day; it waits for what was left, and a change of the clock does not cancel it",
			),
		);
	if (remaining !== 0n || interval !== 0n) {
		const spec = bytesDatum(
			`time of timer ${number}`,
			itimerspec.encode({ it_interval: timespecOf(interval), it_value: timespecOf(expiry ?? remaining) }),
		);
		const flags = expiry === undefined ? 0n : BigInt(settings);
		list.add("leave", "timerfd_settime", [fd, flags, spec, 0n], `timer ${number} goes on`);
	}
	if (ticks === 0n) return;
	const count = bytesDatum(`ticks of timer ${number}`, word(ticks));
	list.add("leave", "ioctl", [fd, BigInt(TFD_IOC_SET_TICKS), count], `timer ${number} has expired before`);
}

const REALTIME: readonly number[] = [CLOCK.REALTIME, CLOCK.REALTIME_ALARM];

function setOwner(
	{ identity, threads }: Task,
	{ ids }: Context,
	list: ListDraft,
	number: number,
	{ type, pid, signal }: SignalOwner,
): void {
	const fd = BigInt(number);
	if (signal !== 0) list.add("leave", "fcntl", [fd, BigInt(F.SETSIG), BigInt(signal)], `signal about ${number}`);
	if (pid === 0) return;
	// a process of the past, or of another pid namespace, cannot be told
	const ours = type !== F_OWNER.PGRP && (pid === identity.pid || threads.some(({ tid }) => tid === pid));
	const owner = bytesDatum(`owner of ${number}`, fOwnerEx.encode({ type, pid }), { align: 4 });
	const to = { ...owner, offset: fOwnerEx.offsetOf("pid") };
	if (ours || pid === identity.pid) ids.rewrite(list, "leave", pid, to, `who that is now`);
	list.add("leave", "fcntl", [fd, BigInt(F.SETOWN_EX), owner], `who is told about ${number}`, {
		expect: ours ? "success" : { successOr: ESRCH },
	});
}

function setAsync(list: ListDraft, number: number, { flags }: Description): void {
	list.add("leave", "fcntl", [BigInt(number), BigInt(F.SETFL), BigInt(flags & SETTABLE_FLAGS)], `${number} signals`);
}
