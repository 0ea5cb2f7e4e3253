import { PTRACE } from "../linux/ptrace.ts";
import type { SystemCallRows } from "./call-row.ts";
import { count, descriptor, hexadecimal, int, octal, oneOf, pointer, text } from "./kinds.ts";
import { clock } from "./times.ts";

/** Calls of agents, parasites and tests, which read no plan to anybody. */
export const agentCalls = {
	alarm: { args: [count] },
	clock_gettime: { args: [clock, pointer] },
	execve: { args: [text, pointer, pointer] },
	faccessat2: { args: [descriptor, text, octal, hexadecimal] },
	get_mempolicy: { args: [pointer, pointer, count, pointer, hexadecimal] },
	get_robust_list: { args: [int, pointer, pointer] },
	getdents64: { args: [descriptor, pointer, count] },
	getegid: { args: [] },
	geteuid: { args: [] },
	getgid: { args: [] },
	getitimer: { args: [int, pointer] },
	getpid: { args: [] },
	getppid: { args: [] },
	getsid: { args: [int] },
	getuid: { args: [] },
	ioprio_get: { args: [int, int] },
	kcmp: { args: [int, int, int, hexadecimal, hexadecimal] },
	modify_ldt: { args: [int, pointer, count] },
	nanosleep: { args: [pointer, pointer] },
	open_by_handle_at: { args: [descriptor, pointer, hexadecimal] },
	pause: { args: [] },
	pidfd_getfd: { args: [descriptor, int, hexadecimal] },
	pidfd_open: { args: [int, hexadecimal] },
	poll: { args: [pointer, count, int] },
	process_vm_readv: { args: [int, pointer, count, pointer, count, hexadecimal] },
	ptrace: { args: [oneOf(PTRACE, "PTRACE_"), int, pointer, hexadecimal] },
	sched_getscheduler: { args: [int] },
	splice: { args: [descriptor, pointer, descriptor, pointer, count, hexadecimal] },
	statx: { args: [descriptor, text, hexadecimal, hexadecimal, pointer] },
	tee: { args: [descriptor, descriptor, count, hexadecimal] },
	timer_getoverrun: { args: [hexadecimal] },
	timer_gettime: { args: [hexadecimal, pointer] },
	timerfd_gettime: { args: [descriptor, pointer] },
	uname: { args: [pointer] },
	vmsplice: { args: [descriptor, pointer, count, hexadecimal] },
} as const satisfies SystemCallRows;
