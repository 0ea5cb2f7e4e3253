import { address } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import type { ImageDir } from "../../criu/image-dir.ts";
import { ACTION_SIGNALS } from "../../criu/vma.ts";
import type { PstreeEntry, TaskCoreEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { IntervalTimer, PosixTimer, SignalAction, Task } from "../../forest/task.ts";
import { SIGSTOP } from "../../linux/signal.ts";
import { clocksFromImages } from "./clocks.ts";
import { filesFromImages, type SharedTables } from "./files.ts";
import { memoryFromImages } from "./memory.ts";
import { sideRecordOf, unlessEmpty } from "./side-record.ts";
import { threadFrom } from "./thread.ts";

/** A process without its shared memory and its files without a name. */
export function processFrom(dir: ImageDir, entry: PstreeEntry, tables: SharedTables): Task {
	const cores = entry.threads.map((tid) => ({
		tid,
		name: `core-${tid}.img`,
		core: dir.one(`core-${tid}.img`, "core"),
	}));
	const leader = cores[0];
	const tc = leader?.core.tc;
	if (leader === undefined || tc === undefined || leader.core.thread_info === undefined)
		return refuse("ERR_IMAGE_CORRUPT", {
			subject: `${dir.path}/core-${entry.pid}.img`,
			finding: leader === undefined || tc === undefined ? "has no task_core_entry" : "describes a zombie",
			expectation: "expected a living process",
			remedy: "dump the donor while it runs",
		});
	const mm = dir.one(`mm-${entry.pid}.img`, "mm");
	const beside = sideRecordOf(dir, entry.pid);
	const shared = { ...tables, beside };
	const membarrier = tc.membarrier_registration_mask ?? 0;
	const memory = memoryFromImages(dir, entry.pid, mm, shared);
	const files = filesFromImages(dir, entry.pid, shared);
	return {
		identity: identityFrom(entry, tc),
		threads: cores.map(({ tid, core, name }) => threadFrom(tid, core, tc, beside, `${dir.path}/${name}`)),
		memory: { ...memory, objects: [] },
		signalActions: actionsFrom(tc),
		intervalTimers: {
			real: intervalTimer(tc.timers?.real),
			virtual: intervalTimer(tc.timers?.virt),
			profiling: intervalTimer(tc.timers?.prof),
		},
		posixTimers: (tc.timers?.posix ?? []).map(posixTimer),
		limits: (tc.rlimits?.rlimits ?? []).map(({ cur, max }) => ({ soft: cur, hard: max })),
		pending: (tc.signals_s?.signals ?? []).map(({ siginfo }) => siginfo),
		files,
		stopped: tc.task_state === 3,
		...(tc.task_state !== 3 || tc.stop_signo === SIGSTOP ? {} : defined({ stopSignal: tc.stop_signo })),
		...(beside.losses.length === 0 ? {} : { losses: beside.losses }),
		...unlessEmpty({ ...beside.process, ...(membarrier === 0 ? {} : { membarrier: BigInt(membarrier) }) }),
		...clocksFromImages(dir),
	};
}

const identityFrom = ({ pid, ppid, pgid, sid }: PstreeEntry, tc: TaskCoreEntry): Task["identity"] => ({
	...{ pid, ppid, pgid, sid, comm: tc.comm },
	...defined({ oomScoreAdjust: tc.oom_score_adj, childSubreaper: tc.child_subreaper }),
});

const actionsFrom = (tc: TaskCoreEntry): SignalAction[] =>
	tc.sigactions.slice(0, ACTION_SIGNALS.length).map((action, i) => ({
		signal: ACTION_SIGNALS[i] ?? 0,
		handler: address(action.sigaction),
		flags: action.flags,
		restorer: address(action.restorer),
		mask: action.mask,
	}));

type TimersEntry = NonNullable<TaskCoreEntry["timers"]>;

const intervalTimer = (timer: TimersEntry["real"] | undefined): IntervalTimer => ({
	remaining: timer === undefined ? 0n : timer.vsec * 1_000_000n + timer.vusec,
	interval: timer === undefined ? 0n : timer.isec * 1_000_000n + timer.iusec,
});

const posixTimer = (timer: TimersEntry["posix"][number]): PosixTimer => ({
	id: timer.it_id,
	// clocks of processor time have negative numbers, and CRIU's field has none
	clock: timer.clock_id | 0,
	signal: timer.si_signo,
	notify: timer.it_sigev_notify,
	value: timer.sival_ptr,
	remaining: timer.vsec * 1_000_000_000n + timer.vnsec,
	interval: timer.isec * 1_000_000_000n + timer.insec,
	overrun: timer.overrun,
	...defined({ thread: timer.notify_thread_id }),
});
