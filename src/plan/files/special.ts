import { u64, viewOf } from "../../bytes/layout.ts";
import { O } from "../../linux/open.ts";
import type { Eventfd, Signalfd, Timerfd } from "../../task/files.ts";
import { addNew, addStatusFlags, type Desk } from "./fd-allocator.ts";
import type { Slot } from "./slots.ts";

// EFD_, SFD_ and TFD_ flags are O_CLOEXEC and O_NONBLOCK under other names

/** include/uapi/linux/eventfd.h. A read takes one, not all. */
const EFD_SEMAPHORE = 1;

const LARGEST_INITIAL = 0xffff_ffffn;

export function openEventfd(desk: Desk, slot: Slot, { counter, flags, semaphore }: Eventfd): void {
	const initial = counter <= LARGEST_INITIAL ? counter : 0n;
	const blocking = flags & O.NONBLOCK;
	const args = (closing: number): bigint[] => [
		initial,
		BigInt(blocking | closing | (semaphore === true ? EFD_SEMAPHORE : 0)),
	];
	addNew(desk, slot, "eventfd2", args, `descriptor ${slot.number}, with what it has counted`);
	const number = BigInt(slot.number);
	if (initial !== counter) {
		const value = desk.around.draft.bytes(`counter of ${slot.number}`, word(counter));
		desk.add("write", [number, value, 8n], "more than fits the call", { expect: { exactly: 8n } });
	}
	addStatusFlags(desk, number, blocking, flags);
}

export function openSignalfd(desk: Desk, slot: Slot, { mask, flags }: Signalfd): void {
	const signals = desk.around.draft.bytes(`signals of ${slot.number}`, word(mask));
	const blocking = flags & O.NONBLOCK;
	const args = (closing: number) => [-1n, signals, 8n, BigInt(blocking | closing)];
	addNew(desk, slot, "signalfd4", args, `descriptor ${slot.number}`);
	addStatusFlags(desk, BigInt(slot.number), blocking, flags);
}

/** Not armed yet: see arming.ts. */
export function openTimerfd(desk: Desk, slot: Slot, { clock, flags }: Timerfd): void {
	const blocking = flags & O.NONBLOCK;
	const args = (closing: number): bigint[] => [BigInt(clock), BigInt(blocking | closing)];
	if (isAlarm(clock)) desk.around.stand.asCaller("files");
	addNew(desk, slot, "timerfd_create", args, `descriptor ${slot.number}`);
	addStatusFlags(desk, BigInt(slot.number), blocking, flags);
}

/** CLOCK_REALTIME_ALARM and CLOCK_BOOTTIME_ALARM (include/uapi/linux/time.h) take CAP_WAKE_ALARM. */
const isAlarm = (clock: number): boolean => clock === 8 || clock === 9;

export function word(value: bigint): Uint8Array {
	const bytes = new Uint8Array(8);
	u64.write(viewOf(bytes), 0, value);
	return bytes;
}
