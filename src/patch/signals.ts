import type { TaskCoreEntry } from "../criu/generated/schema.ts";
import { ACTION_SIGNALS } from "../criu/vma.ts";
import type { Task, Thread } from "../task/task.ts";

const ALIVE = 1;

/**
 * The task part of the leader's core image: name, mask, handlers, pending signals, timers. The fatal signal is never
 * queued again, and neither is anything the donor had pending.
 */
export function patchTaskCore(task: Task, leader: Thread, donor: TaskCoreEntry): TaskCoreEntry {
	const actions = new Map(task.signalActions.map((action) => [action.signal, action]));
	const { stop_signo: _stop, ...base } = donor;
	const timers = new Map(task.posixTimers.map((timer) => [timer.id, timer]));
	return {
		...base,
		task_state: ALIVE,
		exit_code: 0,
		comm: task.identity.comm,
		blk_sigset: leader.blocked,
		signals_s: { ...donor.signals_s, signals: task.pending.map((siginfo) => ({ siginfo })) },
		sigactions: donor.sigactions.map((record, i) => {
			const action = actions.get(ACTION_SIGNALS[i] ?? 0);
			return action === undefined
				? record
				: { ...record, sigaction: action.handler, flags: action.flags, restorer: action.restorer, mask: action.mask };
		}),
		...(donor.timers === undefined
			? {}
			: {
					timers: {
						...donor.timers,
						posix: donor.timers.posix.map((record) => {
							const timer = timers.get(record.it_id);
							if (timer === undefined) return record;
							const { value, thread } = timer;
							return { ...record, sival_ptr: value, ...(thread === undefined ? {} : { notify_thread_id: thread }) };
						}),
					},
				}),
	};
}
