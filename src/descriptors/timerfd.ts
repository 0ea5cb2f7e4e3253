import { u64Bytes } from "../bytes/layout.ts";
import { FdTypes } from "../criu/wire/generated/schema.ts";
import { caution } from "../finding.ts";
import { O } from "../linux/open.ts";
import { CLOCK, itimerspec, TFD_IOC_SET_TICKS, TFD_TIMER_ABSTIME, timespecOf } from "../linux/time.ts";
import { type Fdinfo, nanosecondsIn } from "../proc/fdinfo.ts";
import { bytesDatum } from "../program/data.ts";
import type { DescriptionCommon } from "./description.ts";
import { commonFrom, partOf } from "./entries.ts";
import { type DescriptorKind, linked } from "./kind.ts";
import type { Late } from "./late.ts";
import { addNew, addStatusFlags, type FdAllocator, type Slot } from "./steps.ts";

export interface Timerfd extends DescriptionCommon, TimerfdTime {
	readonly kind: "timerfd";
}

interface TimerfdTime {
	readonly clock: number;
	/** Expirations not read yet. */
	readonly ticks: bigint;
	/** TFD_TIMER_ flags it was set with; `remaining` is relative all the same. */
	readonly settings: number;
	/** Nanoseconds. */
	readonly remaining: bigint;
	readonly interval: bigint;
}

const LINK = "anon_inode:[timerfd]";

export const timerfd: DescriptorKind<Timerfd> = {
	images: {
		types: [FdTypes.TIMERFD],
		from: (entry, images) => {
			const tfd = partOf(entry, entry.tfd, images);
			return {
				kind: "timerfd",
				...commonFrom(tfd),
				clock: tfd.clockid,
				ticks: tfd.ticks,
				settings: tfd.settime_flags,
				remaining: nanoseconds(tfd.vsec, tfd.vnsec),
				interval: nanoseconds(tfd.isec, tfd.insec),
			};
		},
		to: ({ id, flags, clock, ticks, settings, ...timer }, { owner: fown }) => {
			const value = timespecOf(timer.remaining);
			const interval = timespecOf(timer.interval);
			return {
				type: FdTypes.TIMERFD,
				id,
				tfd: {
					...{ id, flags, fown, clockid: clock, ticks, settime_flags: settings },
					...{ vsec: value.tv_sec, vnsec: value.tv_nsec },
					...{ isec: interval.tv_sec, insec: interval.tv_nsec },
				},
			};
		},
	},
	living: {
		see: ({ link, info }) =>
			link === LINK ? { describe: (common) => ({ kind: "timerfd", ...common, ...timeOf(info) }) } : undefined,
		before: "count expirations",
	},
	making: { unopenable: () => undefined, open, arm },
	differs: linked(LINK),
};

const nanoseconds = (seconds: bigint, rest: bigint): bigint => seconds * 1_000_000_000n + rest;

/**
 * folklore: between the counting and the reading of fdinfo a periodic timerfd may expire once more, and again shows no time left.
 * One with expirations and an interval is running all the same: disarming resets its expirations (timerfd_settime(2)).
 */
function timeOf({ field }: Fdinfo): TimerfdTime {
	const ticks = BigInt(field("ticks") ?? 0);
	const [left, interval] = [nanosecondsIn(field("it_value")), nanosecondsIn(field("it_interval"))];
	return {
		clock: Number(field("clockid") ?? 0),
		ticks,
		settings: Number.parseInt(field("settime flags") ?? "0", 8),
		remaining: left === 0n && ticks > 0n ? interval : left,
		interval,
	};
}

/** Not armed yet. TFD_ flags are O_CLOEXEC and O_NONBLOCK under other names. */
function open(slot: Slot<Timerfd>, fds: FdAllocator): void {
	const { number, content } = slot;
	const { clock, flags } = content;
	const blocking = flags & O.NONBLOCK;
	if (TAKES_WAKE_ALARM.includes(clock)) fds.actor.asCaller();
	const what = `descriptor ${number}`;
	addNew(fds, slot, "timerfd_create", (closing) => [BigInt(clock), BigInt(blocking | closing)], what);
	addStatusFlags(fds, BigInt(number), blocking, flags);
}

/** CAP_WAKE_ALARM (timerfd_create(2)). */
const TAKES_WAKE_ALARM: readonly number[] = [CLOCK.REALTIME_ALARM, CLOCK.BOOTTIME_ALARM];

/**
 * Set to a time, where the clock goes on by which that is meant; else to what was left. By the process itself: its clock need
 * not be the restorer's.
 */
function arm({ number, content }: Slot<Timerfd>, { add, report, expiryOf }: Late): void {
	const { clock, ticks, settings, remaining, interval } = content;
	const fd = BigInt(number);
	const absolute = (settings & TFD_TIMER_ABSTIME) !== 0 && remaining !== 0n;
	const expiry = absolute ? expiryOf(clock, remaining) : undefined;
	if (absolute && expiry === undefined && REALTIME.includes(clock))
		report(
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
		add("timerfd_settime", [fd, flags, spec, 0n], `timer ${number} goes on`);
	}
	if (ticks === 0n) return;
	const count = bytesDatum(`ticks of timer ${number}`, u64Bytes(ticks));
	add("ioctl", [fd, BigInt(TFD_IOC_SET_TICKS), count], `timer ${number} has expired before`);
}

const REALTIME: readonly number[] = [CLOCK.REALTIME, CLOCK.REALTIME_ALARM];
