import { FPSTATE_ALIGN, type Processor, type Resumption, sigframe, stackT } from "../arch/x86-64/sigframe.ts";
import { type Address, address } from "../bytes/address.ts";
import { defined } from "../bytes/defined.ts";
import { i32, u64, viewOf } from "../bytes/layout.ts";
import type { Range } from "../bytes/range.ts";
import { ACTION_SIGNALS } from "../criu/vma.ts";
import type { Attributes, ProcessAttribute, ThreadAttribute } from "../forest/attributes.ts";
import type { AlternateStack, IntervalTimer, PosixTimer, SignalAction } from "../forest/task.ts";
import { PR } from "../linux/prctl.ts";
import { kernelSigaction, SIGSET_BYTES, SS_DISABLE } from "../linux/signal.ts";
import { CLOCK, type Clocks, ITIMER, itimerspec, itimerval, nanosecondsOf, timespec } from "../linux/time.ts";
import type { ProcTimer } from "../proc/timers.ts";
import { contextLayout, NO_REPORTS } from "../program/abi.ts";
import type { Place } from "../program/args.ts";
import type { CallName } from "../program/calls.ts";
import { bytesDatum, cellDatum, dataOf, spaceDatum } from "../program/data.ts";
import type { Program, Step, StepList } from "../program/program.ts";
import {
	type Ask,
	askProcessAttributes,
	askThreadAttributes,
	type Recall,
	type Unrestored,
} from "./attribute-queries.ts";

/** A thread that runs queries, and the register set that it resumes with if agent and we are gone. */
export interface Asked extends Pick<Resumption, "registers" | "xstate" | "blocked"> {
	readonly tid: number;
}

/** The answers: state that only the process itself can query. */
export interface Answers {
	readonly signalActions: readonly SignalAction[];
	readonly intervalTimers: {
		readonly real: IntervalTimer;
		readonly virtual: IntervalTimer;
		readonly profiling: IntervalTimer;
	};
	readonly posixTimers: readonly PosixTimer[];
	readonly brk: Address;
	readonly dumpable: number;
	readonly hugePagesDisabled: boolean;
	readonly childSubreaper: boolean;
	readonly attributes: Attributes<ProcessAttribute>;
	readonly beyond: Unrestored;
	/** In the process's own time namespace; and the time of day. */
	readonly clocks: Clocks & { readonly realtime: bigint };
	/** By thread id. */
	readonly threads: ReadonlyMap<number, ThreadAnswers>;
}

export interface ThreadAnswers {
	readonly alternateStack?: AlternateStack;
	/** 0 for none; absent on a kernel that does not tell (CONFIG_CHECKPOINT_RESTORE). */
	readonly clearTid?: Address;
	readonly parentDeathSignal: number;
	readonly securebits: number;
	readonly attributes: Attributes<ThreadAttribute>;
}

export interface ParasiteQueries {
	/** For the blob at the start of a hole in the process. One list a thread, in the order of the threads. */
	readonly program: (hole: Range) => Program;
	readonly context: Place;
	/** Where the stack of a thread's list begins; it has {@link STACK_SIZE} bytes. */
	readonly stackOf: (tid: number) => Place;
	/** The name of a thread's list. */
	readonly listOf: (tid: number) => string;
	readonly read: (recall: Recall) => Answers;
}

/** Marks the end of a thread's queries. */
export const LAST_CALL: CallName = "getppid";

/** The blob needs a few hundred bytes of it. */
export const STACK_SIZE = 4096;

/**
 * The system calls that the parasite makes: each thread queries its own state, the leader also what all share. Each list ends
 * in an rt_sigreturn from a frame with the thread's original state, which is run only if the tracer has died.
 *
 * @param threads Leader first.
 */
export function parasiteQueries(
	threads: readonly Asked[],
	timers: readonly ProcTimer[],
	processor: Processor,
): ParasiteQueries {
	const lists: StepList[] = [];
	// no report socket (fd -1): the results are read from memory, no step is judged
	const context = bytesDatum("context", contextLayout.encode({ report_fd: NO_REPORTS, task: 0n }));
	const stacks = new Map<number, Place>();
	const names = new Map<number, string>();
	const readers = new Map<number, (recall: Recall) => ThreadAnswers>();
	let shared: ((recall: Recall) => Omit<Answers, "threads">) | undefined;
	for (const thread of threads) {
		const name = `thread ${thread.tid}`;
		const steps: Step[] = [];
		lists.push({ name, steps });
		const ask = asker(steps);
		shared ??= askShared(ask, timers);
		readers.set(thread.tid, askThread(ask));
		ask(LAST_CALL, [], "done");
		ask("leave", [frameOf(thread, processor)], "where it was, should nobody lead it back");
		stacks.set(thread.tid, spaceDatum(`stack of ${name}`, STACK_SIZE));
		names.set(thread.tid, name);
	}
	const known = <T>(found: T | undefined): T => {
		if (found === undefined) throw new RangeError("no such thread was asked");
		return found;
	};
	return {
		program: (hole) => ({
			pid: threads[0]?.tid ?? 0,
			hole,
			lists,
			data: dataOf(lists, [context, ...stacks.values()]),
			context,
		}),
		context,
		stackOf: (tid) => known(stacks.get(tid)),
		listOf: (tid) => known(names.get(tid)),
		read: (recall) => ({
			...known(shared)(recall),
			threads: new Map([...readers].map(([tid, read]) => [tid, read(recall)])),
		}),
	};
}

const asker =
	(steps: Step[]): Ask =>
	(call, args, why, save) =>
		void steps.push({ call, args, why, expect: "anything", ...defined({ save }) });

const CLOCKS = [CLOCK.MONOTONIC, CLOCK.BOOTTIME, CLOCK.REALTIME] as const;

/** What all threads share. */
function askShared(ask: Ask, timers: readonly ProcTimer[]): (recall: Recall) => Omit<Answers, "threads"> {
	const { size } = kernelSigaction;
	const actions = spaceDatum("signal actions", ACTION_SIGNALS.length * size);
	for (const [i, signal] of ACTION_SIGNALS.entries())
		ask("rt_sigaction", [BigInt(signal), 0n, { ...actions, offset: i * size }, SIGSET_BYTES], "what a signal does");
	const intervals = spaceDatum("interval timers", 3 * itimerval.size);
	for (const which of Object.values(ITIMER))
		ask("getitimer", [BigInt(which), { ...intervals, offset: which * itimerval.size }], "an interval timer");
	const posix = timers.map((timer) => {
		const time = spaceDatum(`time of timer ${timer.id}`, itimerspec.size);
		const overrun = cellDatum(`overrun of timer ${timer.id}`);
		ask("timer_gettime", [BigInt(timer.id), time], `when timer ${timer.id} expires`);
		ask("timer_getoverrun", [BigInt(timer.id)], `how often it did unseen`, overrun);
		return { timer, time, overrun };
	});
	const brk = cellDatum("program break");
	ask("brk", [0n], "the program break", brk);
	const dumpable = cellDatum("dumpable");
	ask("prctl", [BigInt(PR.GET_DUMPABLE), 0n, 0n, 0n, 0n], "whether it may be dumped", dumpable);
	const hugePages = cellDatum("huge pages disabled");
	ask("prctl", [BigInt(PR.GET_THP_DISABLE), 0n, 0n, 0n, 0n], "whether it has no huge pages", hugePages);
	const subreaper = cellDatum("subreaper");
	ask("prctl", [BigInt(PR.GET_CHILD_SUBREAPER), subreaper, 0n, 0n, 0n], "whether orphans come to it");
	const others = askProcessAttributes(ask);

	const clocks = spaceDatum("clocks", CLOCKS.length * timespec.size);
	for (const [i, clock] of CLOCKS.entries())
		ask("clock_gettime", [BigInt(clock), { ...clocks, offset: i * timespec.size }], "what a clock shows");

	return (recall) => {
		const clock = (id: (typeof CLOCKS)[number]): bigint =>
			nanosecondsOf(timespec.decode(recall({ ...clocks, offset: CLOCKS.indexOf(id) * timespec.size }, timespec.size)));
		const number = (place: Place): bigint => BigInt.asIntN(64, u64.read(viewOf(recall(place, 8)), 0));
		const interval = (which: number): IntervalTimer => {
			const { it_value, it_interval } = itimerval.decode(
				recall({ ...intervals, offset: which * itimerval.size }, itimerval.size),
			);
			return { remaining: microseconds(it_value), interval: microseconds(it_interval) };
		};
		const all = recall(actions, ACTION_SIGNALS.length * size);
		return {
			signalActions: ACTION_SIGNALS.map((signal, i) => {
				const { sa_handler, sa_flags, sa_restorer, sa_mask } = kernelSigaction.decode(all.subarray(i * size));
				const [handler, restorer] = [address(sa_handler), address(sa_restorer)];
				return { signal, handler, flags: sa_flags, restorer, mask: sa_mask };
			}),
			intervalTimers: {
				real: withNextExpiry(interval(ITIMER.REAL)),
				virtual: interval(ITIMER.VIRTUAL),
				profiling: interval(ITIMER.PROF),
			},
			posixTimers: posix.map(({ timer, time, overrun }) => {
				const { it_value, it_interval } = itimerspec.decode(recall(time, itimerspec.size));
				const missed = number(overrun);
				return {
					...timer,
					remaining: nanosecondsOf(it_value),
					interval: nanosecondsOf(it_interval),
					overrun: missed < 0n ? 0 : Number(missed),
				};
			}),
			brk: address(number(brk)),
			dumpable: Number(number(dumpable)),
			hugePagesDisabled: number(hugePages) === 1n,
			childSubreaper: i32.read(viewOf(recall(subreaper, 8)), 0) === 1,
			...others(recall),
			clocks: {
				monotonic: clock(CLOCK.MONOTONIC),
				boottime: clock(CLOCK.BOOTTIME),
				realtime: clock(CLOCK.REALTIME),
			},
		};
	};
}

/**
 * folklore: ITIMER_REAL is re-armed only when its SIGALRM is dequeued (kernel/signal.c); while that is pending, getitimer(2)
 * shows no time left, as for an unset timer. An unset one has no interval, though.
 */
const withNextExpiry = ({ remaining, interval }: IntervalTimer): IntervalTimer => ({
	remaining: remaining === 0n ? interval : remaining,
	interval,
});

/** What each thread has for itself. */
function askThread(ask: Ask): (recall: Recall) => ThreadAnswers {
	const stack = spaceDatum("alternate stack", stackT.size);
	ask("sigaltstack", [0n, stack], "its alternate signal stack");
	const clearTid = cellDatum("clear-tid address");
	const told = cellDatum("whether the clear-tid address is told");
	ask("prctl", [BigInt(PR.GET_TID_ADDRESS), clearTid, 0n, 0n, 0n], "the word that is cleared at its end", told);
	const death = cellDatum("parent-death signal");
	ask("prctl", [BigInt(PR.GET_PDEATHSIG), death, 0n, 0n, 0n], "its signal when the parent dies");
	const securebits = cellDatum("securebits");
	ask("prctl", [BigInt(PR.GET_SECUREBITS), 0n, 0n, 0n, 0n], "how its capabilities behave", securebits);
	const attributes = askThreadAttributes(ask);
	return (recall) => {
		const word = (place: Place): bigint => u64.read(viewOf(recall(place, 8)), 0);
		const { ss_sp, ss_flags, ss_size } = stackT.decode(recall(stack, stackT.size));
		return {
			...((ss_flags & SS_DISABLE) !== 0
				? {}
				: { alternateStack: { base: address(ss_sp), size: ss_size, flags: ss_flags } }),
			...(word(told) === 0n ? { clearTid: address(word(clearTid)) } : {}),
			parentDeathSignal: i32.read(viewOf(recall(death, 8)), 0),
			securebits: Number(BigInt.asUintN(32, word(securebits))),
			attributes: attributes(recall),
		};
	};
}

/**
 * folklore: a signal frame always sets the alternate stack; but the kernel ignores one that is below its minimum size without
 * an error (restore_altstack, kernel/signal.c).
 */
function frameOf(thread: Asked, processor: Processor): Place {
	const { ucontext, fpstate, fpstateAt } = sigframe(
		{ ...thread, alternateStack: { base: address(0n), size: 0n, flags: 0 } },
		processor,
	);
	const area = bytesDatum(`XSAVE area of thread ${thread.tid}`, fpstate, { align: FPSTATE_ALIGN });
	return bytesDatum(`frame of thread ${thread.tid}`, ucontext, {
		align: 16,
		pointers: [{ at: fpstateAt, to: area }],
	});
}

const microseconds = ({ tv_sec, tv_usec }: { readonly tv_sec: bigint; readonly tv_usec: bigint }): bigint =>
	tv_sec * 1_000_000n + tv_usec;
