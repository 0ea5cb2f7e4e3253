import { defined } from "../bytes/defined.ts";
import { loss } from "../finding.ts";
import { sameOrigin } from "../forest/clocks.ts";
import type { Task } from "../forest/task.ts";
import { AT_FDCWD } from "../linux/fcntl.ts";
import { O } from "../linux/open.ts";
import { CLONE } from "../linux/sched.ts";
import { CLOCK } from "../linux/time.ts";
import { TIMENS_OFFSETS_SIZE } from "../proc/namespaces.ts";
import { ASKS_FOR_CLOCKS, reportLayout } from "../program/abi.ts";
import { bytesDatum, cellDatum, pathDatum, spaceDatum } from "../program/data.ts";
import type { Context } from "./context.ts";
import type { Part } from "./part.ts";

/**
 * How the process comes by its clocks: it has those that it had, as they still run; a time namespace in which they go on; or
 * the host's, whatever they show.
 */
export type ClockCourse = "the same" | "own" | "the host's";

export function clockCourse({ clocks }: Pick<Task, "clocks">, { facts }: Pick<Context, "facts">): ClockCourse {
	if (clocks === undefined || facts.clocks === undefined) return "the host's";
	if (sameOrigin(clocks.origin, facts.clocks.origin)) return "the same";
	return facts.noTimeNamespace === undefined ? "own" : "the host's";
}

/**
 * A time namespace for the process alone, in which CLOCK_MONOTONIC and CLOCK_BOOTTIME go on from where they stood: whoever
 * sleeps until a time, and all that the program reckons with, finds them as if nothing had been.
 *
 * It makes the namespace itself and moves into it, which only a process with one thread may (time_namespaces(7)); the
 * agent stays where it is. One made by clone3(2) would have the clocks of its maker, set for good. How far they are to be
 * moved is asked late, when all memory is filled: what the restore takes is not to count. Before the root directory is changed,
 * behind which there may be no /proc.
 *
 * @returns what the answer is reckoned from, where it asks.
 */
export function planClocks(task: Task, context: Context): Part {
	const { draft, reportTarget, actor } = context;
	const { clocks } = task;
	reportLostClocks(task, context);
	if (clocks === undefined || clockCourse(task, context) !== "own") return draft.made();
	const list = draft.leader;
	actor.asCaller("clocks");
	const newTime = BigInt(CLONE.NEWTIME);
	const file = cellDatum("descriptor of the time namespace");
	const fd = { valueOf: file };
	const open = (name: string, flags: number, why: string): void =>
		list.add("clocks", "openat", [AT_FDCWD, pathDatum(`path of ${name}`, `/proc/self/${name}`), BigInt(flags)], why, {
			save: file,
		});
	const size = BigInt(TIMENS_OFFSETS_SIZE);
	const offsets = spaceDatum("clock offsets", TIMENS_OFFSETS_SIZE);
	const told = BigInt(reportLayout.size);
	const question = reportLayout.encode({ task: BigInt(task.identity.pid), id: 0n, result: ASKS_FOR_CLOCKS });

	list.add("clocks", "unshare", [newTime], "a time namespace, for its children first");
	open("timens_offsets", O.WRONLY | O.CLOEXEC, "where its clocks are set");
	list.add(
		"clocks",
		"write",
		[{ valueOf: reportTarget }, bytesDatum("question", question), told],
		"asks for its clocks",
		{
			expect: { exactly: told },
		},
	);
	list.add("clocks", "read", [{ valueOf: reportTarget }, offsets, size], "how far they are to be moved", {
		expect: { exactly: size },
	});
	list.add("clocks", "write", [fd, offsets, size], "its clocks go on where they stood", { expect: { exactly: size } });
	list.add("clocks", "close", [fd], "its clocks are set");
	open("ns/time_for_children", O.RDONLY | O.CLOEXEC, "the time namespace");
	list.add("clocks", "setns", [fd, newTime], "it lives in it itself");
	list.add("clocks", "close", [fd], "it is there");
	const { monotonic, boottime } = clocks;
	return draft.made({ clocks: { monotonic, ...defined({ boottime }) } });
}

function reportLostClocks(task: Task, context: Context): void {
	const { clocks } = task;
	const { noTimeNamespace: obstacle, clocks: host } = context.facts;
	if (clocks === undefined || host === undefined || obstacle === undefined) return;
	if (clockCourse(task, context) !== "the host's") return;
	const late = clocks.monotonic - host.now.monotonic;
	const means =
		late > 0n
			? `what it waits for until a time comes ${seconds(late)} late`
			: `${seconds(-late)} have passed for it at once, and what it waits for until a time has come`;
	context.draft.report(
		loss(
			"clock",
			"CLOCK_MONOTONIC",
			`was ${seconds(clocks.monotonic)}, is ${seconds(host.now.monotonic)} here: ${means}; no time namespace can be made (${obstacle})`,
		),
	);
}

const seconds = (nanoseconds: bigint): string => `${nanoseconds / 1_000_000_000n} s`;

/**
 * When a time that was so many nanoseconds away comes by a clock of the process, if that goes on as it was: nanoseconds.
 * Absent where that is not known.
 */
export function expiryOf(clock: number, remaining: bigint, task: Task, context: Context): bigint | undefined {
	const { clocks } = task;
	if (clocks === undefined) return undefined;
	if (clock === CLOCK.REALTIME || clock === CLOCK.REALTIME_ALARM) return after(clocks.realtime, remaining);
	if (clockCourse(task, context) === "the host's") return undefined;
	if (clock === CLOCK.MONOTONIC) return after(clocks.monotonic, remaining);
	return clock === CLOCK.BOOTTIME || clock === CLOCK.BOOTTIME_ALARM ? after(clocks.boottime, remaining) : undefined;
}

const after = (reading: bigint | undefined, remaining: bigint): bigint | undefined =>
	reading === undefined ? undefined : reading + remaining;
