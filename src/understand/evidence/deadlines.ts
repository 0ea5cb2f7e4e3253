import type { UserRegs } from "../../arch/x86-64/registers.ts";
import { address } from "../../bytes/address.ts";
import type { PartialMemory } from "../../forest/partial-task.ts";
import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from "../../linux/errno.ts";
import { FUTEX, FUTEX_CLOCK_REALTIME, FUTEX_COMMAND } from "../../linux/futex.ts";
import { CLOCK, nanosecondsOf, timespec } from "../../linux/time.ts";
import type { BlockingCall } from "./blocking-calls.ts";

/** A time until which the kernel had let a thread sleep: when the process died it had not come. */
export interface Deadline {
	readonly tid: number;
	/** The system call, by name. */
	readonly call: string;
	/** CLOCK_MONOTONIC or CLOCK_BOOTTIME, by number. */
	readonly clock: number;
	/** Nanoseconds. */
	readonly at: bigint;
}

/** What a thread that died asleep in a system call has in `ax`. */
const ASLEEP: readonly bigint[] = [EINTR, ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK].map(
	(errno) => -BigInt(errno),
);

/** Later deadlines mean "never" and tell nothing: some 34 years, nanoseconds. */
const NEVER = 1_000_000_000n << 30n;

/**
 * The absolute deadlines that threads were waiting for, earliest first. Not those of CLOCK_REALTIME. A sleep that a handler had
 * interrupted counts where nobody else sleeps: it may have been due while the handler ran.
 */
export function deadlinesOf(calls: readonly BlockingCall[], memory: PartialMemory): Deadline[] {
	const asleep = calls.filter(({ handler }) => handler === undefined).flatMap((call) => deadlineOf(call, memory));
	return (asleep.length > 0 ? asleep : calls.flatMap((call) => deadlineOf(call, memory))).sort((a, b) =>
		a.at < b.at ? -1 : a.at > b.at ? 1 : 0,
	);
}

function deadlineOf({ tid, call, registers }: BlockingCall, memory: PartialMemory): Deadline[] {
	if (!ASLEEP.includes(BigInt.asIntN(64, registers.ax))) return [];
	const wait = absoluteWaits[call]?.(registers);
	const at = wait === undefined ? undefined : timeAt(wait.pointer, memory);
	return wait === undefined || at === undefined || at > NEVER ? [] : [{ tid, call, clock: wait.clock, at }];
}

interface TimedWait {
	readonly clock: number;
	readonly pointer: bigint;
}

/** clock_nanosleep(2) */
const TIMER_ABSTIME = 1n;

/** Operations of futex(2) whose timeout is a time; that of FUTEX_WAIT is a duration. */
const untilTime: readonly number[] = [FUTEX.WAIT_BITSET, FUTEX.WAIT_REQUEUE_PI, FUTEX.LOCK_PI2];

const absoluteWaits: Readonly<Record<string, (registers: UserRegs) => TimedWait | undefined>> = {
	clock_nanosleep: ({ di, si, dx }) => ((si & TIMER_ABSTIME) === 0n ? undefined : waitBy(di, dx)),
	futex: ({ si, r10 }) =>
		untilTime.includes(Number(si & FUTEX_COMMAND)) && (si & FUTEX_CLOCK_REALTIME) === 0n
			? waitBy(BigInt(CLOCK.MONOTONIC), r10)
			: undefined,
	futex_waitv: ({ r10, r8 }) => waitBy(r8, r10),
	futex_wait: ({ r8, r9 }) => waitBy(r9, r8),
};

const waitBy = (clock: bigint, pointer: bigint): TimedWait | undefined =>
	pointer !== 0n && (clock === BigInt(CLOCK.MONOTONIC) || clock === BigInt(CLOCK.BOOTTIME))
		? { clock: Number(clock), pointer }
		: undefined;

function timeAt(pointer: bigint, memory: PartialMemory): bigint | undefined {
	const bytes = memory.read(address(pointer), timespec.size);
	if (bytes === undefined) return undefined;
	const time = timespec.decode(bytes);
	return time.tv_sec >= 0n && time.tv_nsec >= 0n && time.tv_nsec < 1_000_000_000n ? nanosecondsOf(time) : undefined;
}
