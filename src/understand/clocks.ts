import { defined } from "../bytes/defined.ts";
import type { Range } from "../bytes/range.ts";
import { caution, type Finding, note } from "../finding.ts";
import type { ClockOrigin, ProcessClocks } from "../forest/clocks.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import { CLOCK, type Clocks } from "../linux/time.ts";
import type { BlockingCall } from "./evidence/blocking-calls.ts";
import { newestBetween, newestInBothForms } from "./evidence/clock-readings.ts";
import { deadlinesOf } from "./evidence/deadlines.ts";
import type { Evidence } from "./evidence/evidence.ts";
import { goPollsUntil } from "./evidence/go-poller.ts";
import type { UvLoop } from "./evidence/libuv.ts";

/*
 * No note of a core says what the clock showed. There are two witnesses: this host, if the core was written on this boot; and
 * the dead process's memory, which holds what it had read last, and until when it wanted to sleep.
 */

/** What memory says of CLOCK_MONOTONIC at the death, nanoseconds. */
export interface ClockTrace {
	/** Lower bound: the program had read this time. */
	readonly since?: bigint;
	/** Upper bound: a thread was still waiting for this time. */
	readonly until?: bigint;
	/** `since` may be a time that was yet to come. */
	readonly loose?: true;
	/** Where it stands, in words. */
	readonly by: string;
}

const SECOND = 1_000_000_000n;
const MILLISECOND = SECOND / 1000n;
const MINUTE = 60n * SECOND;
const DAY = 1440n * MINUTE;

/** How long before a deadline readings of the clock are searched for. */
const LATELY = MINUTE;

/**
 * How far past the earliest deadline another thread may have read the clock, since wake-ups can be late. A clock that resumes
 * too late looks like a pause; one that goes back breaks the program.
 */
const WOKEN_LATE = SECOND / 20n;

/** How far this host's clock may be off what memory says: for so long a core may be written, and a process sleep. */
const SLACK = 10n * MINUTE;

/** With only a deadline known, the death is taken to be this long before it. */
const SHORTLY = SECOND / 10n;

/**
 * The best trace in memory: what threads sleep for, as only the kernel's answer is beyond doubt; else what the runtimes of Go
 * and libuv keep; else a reading that stands in memory in two forms.
 *
 * @param host this host's clocks when the core was written, where that is known: what agrees with them is not looked into.
 */
export function clockTrace(
	dead: PartialTask,
	places: readonly Range[],
	{ open, calls, loopsIn }: Pick<Evidence, "open" | "calls" | "loopsIn">,
	host?: Clocks,
): ClockTrace | undefined {
	const { memory } = dead;
	const deadlines = deadlinesOf(calls, memory);
	const awaited = new Set(deadlines.map(({ at }) => at));
	const asleep = (until: bigint, by: string): ClockTrace => {
		const agrees = host !== undefined && until > host.monotonic - SLACK && until < host.monotonic + SLACK;
		const since = agrees ? undefined : newestBetween(until - LATELY, until + WOKEN_LATE, memory, places, awaited);
		return { until, by: `${by} until ${secondsText(until)}`, ...defined({ since }) };
	};
	const [deadline] = deadlines;
	if (deadline !== undefined) {
		const { tid, call, clock, at } = deadline;
		const ahead = clock === CLOCK.BOOTTIME && host !== undefined ? host.boottime - host.monotonic : 0n;
		return asleep(at - ahead, `thread ${tid} slept in ${call}`);
	}
	const polls = goPollsUntil(memory, open);
	if (polls !== undefined) return asleep(polls, "Go's runtime slept");
	const loop = newestLoop(loopsIn(places));
	if (loop !== undefined) {
		const since = loop.time * MILLISECOND;
		const by = `libuv's loop had come to ${secondsText(since)}`;
		const patience = patienceOf(loop.backend, calls);
		if (patience === undefined) return { since, by };
		const until = since + (patience + 1n) * MILLISECOND;
		return { since: newestBetween(since, until, memory, places) ?? since, until, by };
	}
	const echo = newestInBothForms(memory, places, host === undefined ? 0n : host.monotonic + DAY);
	return echo === undefined ? undefined : { since: echo, loose: true, by: `its memory has ${secondsText(echo)} twice` };
}

const newestLoop = (loops: readonly UvLoop[]): UvLoop | undefined =>
	loops
		.filter(({ time }) => time > 0n && time < NEVER)
		.reduce<UvLoop | undefined>(
			(latest, one) => (latest !== undefined && latest.time >= one.time ? latest : one),
			undefined,
		);

/** In milliseconds: no clock has come so far. */
const NEVER = 1n << 40n;

/** The timeout of the thread that waits on an epoll instance, milliseconds; absent for none. */
function patienceOf(epoll: number, calls: readonly BlockingCall[]): bigint | undefined {
	for (const { call, registers } of calls) {
		const { di, r10 } = registers;
		if (!EPOLL_WAITS.includes(call) || di !== BigInt(epoll)) continue;
		const timeout = BigInt.asIntN(32, r10);
		return timeout < 0n ? undefined : timeout;
	}
	return undefined;
}

/** Their fourth argument is a timeout in milliseconds. */
const EPOLL_WAITS: readonly string[] = ["epoll_wait", "epoll_pwait"];

/** What this host's clocks showed when the core was written. */
export interface HostClocksThen extends Clocks {
	readonly origin?: ClockOrigin;
}

export interface ClockWitnesses {
	/** Absent where the core is from another boot, or nothing tells when it was written. */
	readonly host?: HostClocksThen;
	/** What other clocks of this boot showed then. */
	readonly others?: readonly HostClocksThen[];
	/** Whether memory has readings of shortly before that time. It is looked through for it. */
	readonly wasRead?: (monotonic: bigint) => boolean;
	readonly trace?: ClockTrace;
	/** A donor's, at its dump. */
	readonly donor?: ProcessClocks;
}

/**
 * The clocks of a dead process: this host's, where memory agrees with them or is silent; else those of another time namespace
 * of this boot, with which it agrees; else memory's. That recognises a process from another time namespace, and a core that was
 * copied here and only looks new. In doubt the earlier time is taken: a clock that continues from the program's last reading
 * does not jump.
 */
export function decideClocks(witnesses: ClockWitnesses): {
	readonly clocks?: ProcessClocks;
	readonly finding: Finding;
} {
	const { host, trace, donor } = witnesses;
	const chosen = clocksOfThisBoot(witnesses);
	if (chosen !== undefined) {
		const { monotonic, boottime, origin } = chosen;
		const whose = chosen === host ? "" : ", by another clock than ours, with which memory agrees";
		return {
			clocks: { monotonic, boottime, witness: "written", ...defined({ origin }) },
			finding: note(
				"clock",
				SUBJECT,
				`was at ${secondsText(monotonic)} when the core was written, on this boot${whose}`,
			),
		};
	}
	if (trace !== undefined) {
		const monotonic = trace.since ?? (trace.until ?? 0n) - SHORTLY;
		return {
			clocks: { monotonic: monotonic > 0n ? monotonic : 0n, witness: "memory" },
			finding: caution("clock", SUBJECT, `goes on from ${secondsText(monotonic)}: ${trace.by}${boundsText(trace)}`),
		};
	}
	if (donor !== undefined)
		return {
			clocks: { ...donor, witness: "donor" },
			finding: caution(
				"clock",
				SUBJECT,
				`goes on from ${secondsText(donor.monotonic)}, the donor's: nothing tells what it was; --clock SECONDS does`,
			),
		};
	return {
		finding: caution(
			"clock",
			SUBJECT,
			"becomes that of this host: the core is of another boot or host, and nothing in it tells what it was; --clock SECONDS does",
		),
	};
}

const SUBJECT = "CLOCK_MONOTONIC";

/** The best of the clocks of this boot; nothing where memory speaks against all of them. */
function clocksOfThisBoot({ host, others = [], trace, wasRead }: ClockWitnesses): HostClocksThen | undefined {
	const all = host === undefined ? others : [host, ...others];
	const possible = all.filter(({ monotonic }) => !speaksAgainst(trace, monotonic));
	const [first] = possible;
	// a deadline decides: it is near by one of the clocks only
	if (first === undefined || trace?.until !== undefined || wasRead === undefined) return first;
	const since = trace?.since;
	const isPast = ({ monotonic }: HostClocksThen): boolean => since !== undefined && since < monotonic - DAY;
	if (possible.length === 1 && !isPast(first)) return first;
	const read = possible.find(
		(clocks) =>
			(clocks === host || since === undefined || since > clocks.monotonic - SLACK) && wasRead(clocks.monotonic),
	);
	if (read !== undefined) return read;
	// after days without a reading, a clock that continues from the last one does no harm
	return first === host && !isPast(first) ? first : undefined;
}

function speaksAgainst(trace: ClockTrace | undefined, host: bigint): boolean {
	if (trace === undefined) return false;
	const { since, until, loose } = trace;
	// a thread cannot still wait for a time that has passed
	if (until !== undefined && until < host - SLACK) return true;
	if (until === undefined) return since !== undefined && since > host + (loose === true ? DAY : SLACK);
	// a long sleep, unless the clock was read near its end
	return until > host + (since !== undefined && since > host + SLACK ? SLACK : DAY);
}

function boundsText({ since, until, loose }: ClockTrace): string {
	if (since !== undefined && until !== undefined)
		return since > until
			? `, and it had been read ${secondsText(since - until)} after that: it was woken late`
			: `, and it had been read ${secondsText(until - since)} before`;
	if (until !== undefined) return "; how long before that it died is not known";
	return loose === true ? ", which may be a time that was yet to come" : "; it may have died later";
}

/** `1234.567 s` */
export const secondsText = (nanoseconds: bigint): string => {
	const [sign, size] = nanoseconds < 0n ? ["-", -nanoseconds] : ["", nanoseconds];
	return `${sign}${size / SECOND}.${((size % SECOND) / 1_000_000n).toString().padStart(3, "0")} s`;
};
