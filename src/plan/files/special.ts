import { u64, viewOf } from "../../bytes/layout.ts";
import type { Eventfd, Signalfd, Timerfd } from "../../forest/files.ts";
import { O } from "../../linux/open.ts";
import { bytesDatum } from "../../program/data.ts";
import { addNew, addStatusFlags, type FdAllocator } from "./fd-allocator.ts";
import type { FdSlot } from "./slots.ts";

// EFD_, SFD_ and TFD_ flags are O_CLOEXEC and O_NONBLOCK under other names

/** include/uapi/linux/eventfd.h. A read takes one, not all. */
const EFD_SEMAPHORE = 1;

const LARGEST_INITIAL = 0xffff_ffffn;

export function openEventfd(fds: FdAllocator, slot: FdSlot, { counter, flags, semaphore }: Eventfd): void {
	const initial = counter <= LARGEST_INITIAL ? counter : 0n;
	const blocking = flags & O.NONBLOCK;
	const how = blocking | (semaphore === true ? EFD_SEMAPHORE : 0);
	addNew(
		fds,
		slot,
		"eventfd2",
		(closing) => [initial, BigInt(how | closing)],
		`descriptor ${slot.number}, with what it has counted`,
	);
	const number = BigInt(slot.number);
	if (initial !== counter) {
		const value = bytesDatum(`counter of ${slot.number}`, word(counter));
		fds.add("write", [number, value, 8n], "more than fits the call", { expect: { exactly: 8n } });
	}
	addStatusFlags(fds, number, blocking, flags);
}

export function openSignalfd(fds: FdAllocator, slot: FdSlot, { mask, flags }: Signalfd): void {
	const signals = bytesDatum(`signals of ${slot.number}`, word(mask));
	const blocking = flags & O.NONBLOCK;
	addNew(
		fds,
		slot,
		"signalfd4",
		(closing) => [-1n, signals, 8n, BigInt(blocking | closing)],
		`descriptor ${slot.number}`,
	);
	addStatusFlags(fds, BigInt(slot.number), blocking, flags);
}

/** Not armed yet: see arming.ts. */
export function openTimerfd(fds: FdAllocator, slot: FdSlot, { clock, flags }: Timerfd): void {
	const blocking = flags & O.NONBLOCK;
	if (isAlarm(clock)) fds.context.actor.asCaller("files");
	addNew(
		fds,
		slot,
		"timerfd_create",
		(closing) => [BigInt(clock), BigInt(blocking | closing)],
		`descriptor ${slot.number}`,
	);
	addStatusFlags(fds, BigInt(slot.number), blocking, flags);
}

/** CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM (include/uapi/linux/time.h) take CAP_WAKE_ALARM. */
const isAlarm = (clock: number): boolean => clock === 8 || clock === 9;

export function word(value: bigint): Uint8Array {
	const bytes = new Uint8Array(8);
	u64.write(viewOf(bytes), 0, value);
	return bytes;
}
