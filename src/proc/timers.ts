import { SIGEV } from "../linux/siginfo.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** A timer of /proc/PID/timers (fs/proc/base.c, show_timer): all but its times. */
export interface ProcTimer {
	readonly id: number;
	readonly signal: number;
	/** The program's cookie. */
	readonly value: bigint;
	/** SIGEV_ number. */
	readonly notify: number;
	/** For SIGEV_THREAD_ID. */
	readonly thread?: number;
	readonly clock: number;
}

const notifications: Readonly<Record<string, number>> = {
	signal: SIGEV.SIGNAL,
	none: SIGEV.NONE,
	thread: SIGEV.THREAD,
};

export const readTimers = (whose: Whose): readonly ProcTimer[] => parseTimers(textIn(whose, "timers"));

export const parseTimers = (text: string): readonly ProcTimer[] =>
	[...text.matchAll(/^ID: (\d+)\nsignal: (\d+)\/([0-9a-f]+)\nnotify: (\w+)\/(\w+)\.(\d+)\nClockID: (-?\d+)$/gm)].map(
		([, id, signal, value, notify = "", whom, number, clock]) => ({
			id: Number(id),
			signal: Number(signal),
			value: BigInt(`0x${value}`),
			notify: (notifications[notify] ?? 0) | (whom === "tid" ? SIGEV.THREAD_ID : 0),
			...(whom === "tid" ? { thread: Number(number) } : {}),
			clock: Number(clock),
		}),
	);
