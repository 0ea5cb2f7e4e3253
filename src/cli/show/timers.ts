import type { IntervalTimer, Task } from "../../forest/task.ts";
import { signalName } from "../../linux/signal.ts";
import { section } from "../section.ts";
import { tableLines } from "../table.ts";
import type { Paint } from "../terminal.ts";

/** CLOCK_ numbers (include/uapi/linux/time.h). */
const clocks = [
	...[
		"CLOCK_REALTIME",
		"CLOCK_MONOTONIC",
		"CLOCK_PROCESS_CPUTIME_ID",
		"CLOCK_THREAD_CPUTIME_ID",
		"CLOCK_MONOTONIC_RAW",
	],
	...[
		"CLOCK_REALTIME_COARSE",
		"CLOCK_MONOTONIC_COARSE",
		"CLOCK_BOOTTIME",
		"CLOCK_REALTIME_ALARM",
		"CLOCK_BOOTTIME_ALARM",
	],
];

/** `CLOCK_MONOTONIC`; clocks of other processes and threads have negative numbers. */
export const clockName = (clock: number): string => clocks[clock] ?? `clock ${clock}`;

/** The timers that are set. */
export function timersText(
	{ intervalTimers, posixTimers }: Pick<Task, "intervalTimers" | "posixTimers">,
	paint: Paint,
): string {
	const intervals = (["real", "virtual", "profiling"] as const)
		.filter((name) => isSet(intervalTimers[name]))
		.map((name) => [name, "", "", timeText(intervalTimers[name], MICRO)]);
	const posix = posixTimers.map((timer) => [
		`posix ${timer.id}`,
		clockName(timer.clock),
		notifyText(timer),
		isSet(timer) ? timeText(timer, NANO) : "not armed",
	]);
	const rows = [...intervals, ...posix];
	return section("timers", `${rows.length}`, tableLines("llll", rows), paint);
}

const isSet = ({ remaining, interval }: IntervalTimer): boolean => remaining !== 0n || interval !== 0n;

const SIGEV_NONE = 1;

const notifyText = ({ notify, signal, thread }: Task["posixTimers"][number]): string =>
	notify === SIGEV_NONE ? "tells nobody" : `${signalName(signal)}${thread === undefined ? "" : ` to thread ${thread}`}`;

/** Digits behind the point of a second. */
const MICRO = 6;
const NANO = 9;

const timeText = ({ remaining, interval }: IntervalTimer, digits: number): string =>
	`in ${secondsText(remaining, digits)}${interval === 0n ? "" : `, then every ${secondsText(interval, digits)}`}`;

/** `1.5 s`, from a count of the unit that has so many digits behind the point. */
export function secondsText(value: bigint, digits: number): string {
	const one = 10n ** BigInt(digits);
	const [sign, size] = value < 0n ? ["-", -value] : ["", value];
	const fraction = (size % one).toString().padStart(digits, "0").replace(/0+$/, "");
	return `${sign}${size / one}${fraction === "" ? "" : `.${fraction}`} s`;
}
