import type { Codec, Layout } from "../bytes/layout.ts";
import { itimerspec, itimerval, timespec, timeval } from "../linux/time.ts";
import { bytesAt, oneOf, pointerTo, type Show } from "./kinds.ts";
import { struct, within } from "./structs.ts";

/** include/uapi/linux/time.h */
export const clock = oneOf({
	...{ CLOCK_REALTIME: 0, CLOCK_MONOTONIC: 1, CLOCK_PROCESS_CPUTIME_ID: 2, CLOCK_THREAD_CPUTIME_ID: 3 },
	...{ CLOCK_MONOTONIC_RAW: 4, CLOCK_REALTIME_COARSE: 5, CLOCK_MONOTONIC_COARSE: 6, CLOCK_BOOTTIME: 7 },
	...{ CLOCK_REALTIME_ALARM: 8, CLOCK_BOOTTIME_ALARM: 9, CLOCK_TAI: 11 },
});

/** `1.5 s`: seconds, and a fraction of so many digits. */
const secondsAt =
	<F extends Readonly<Record<string, Codec<bigint>>>>(layout: Layout<F>, digits: number): Show =>
	(place) => {
		const [seconds = 0n, rest = 0n] = Object.values(layout.decode(bytesAt(place, layout.size))) as bigint[];
		const fraction = rest.toString().padStart(digits, "0").replace(/0+$/, "");
		return `${seconds}${fraction === "" ? "" : `.${fraction}`} s`;
	};

const spec = { inner: secondsAt(timespec, 9) };
const val = { inner: secondsAt(timeval, 6) };

/** Interval and first expiry. */
export const timerTimes = pointerTo(struct(itimerspec, { it_interval: spec, it_value: spec }));
/** When a file was read and written last. */
export const fileTimes = pointerTo((place) => `[${spec.inner(place)}, ${spec.inner(within(place, timespec.size))}]`);
export const intervalTimes = pointerTo(struct(itimerval, { it_interval: val, it_value: val }));
