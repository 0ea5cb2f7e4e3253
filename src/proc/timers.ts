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

const notifications: Readonly<Record<string, number>> = { signal: 0, none: 1, thread: 2 };

const SIGEV_THREAD_ID = 4;

export const readProcTimers = (text: string): readonly ProcTimer[] =>
	[...text.matchAll(/^ID: (\d+)\nsignal: (\d+)\/([0-9a-f]+)\nnotify: (\w+)\/(\w+)\.(\d+)\nClockID: (-?\d+)$/gm)].map(
		([, id, signal, value, notify = "", whom, number, clock]) => ({
			id: Number(id),
			signal: Number(signal),
			value: BigInt(`0x${value}`),
			notify: (notifications[notify] ?? 0) | (whom === "tid" ? SIGEV_THREAD_ID : 0),
			...(whom === "tid" ? { thread: Number(number) } : {}),
			clock: Number(clock),
		}),
	);
