import { layout, u32, u64 } from "../bytes/layout.ts";

/** Policies of sched_setscheduler(2) (include/uapi/linux/sched.h). */
export const SCHED = { OTHER: 0, FIFO: 1, RR: 2, BATCH: 3, IDLE: 5, DEADLINE: 6, RESET_ON_FORK: 0x4000_0000 } as const;

/** Flags of clone3(2) (include/uapi/linux/sched.h). */
export const CLONE = {
	/** Of unshare(2) and setns(2): clone3(2) makes such a namespace with clocks that cannot be set any more. */
	NEWTIME: 0x80,
	VM: 0x100,
	FS: 0x200,
	FILES: 0x400,
	SIGHAND: 0x800,
	PIDFD: 0x1000,
	PTRACE: 0x2000,
	VFORK: 0x4000,
	PARENT: 0x8000,
	THREAD: 0x1_0000,
	NEWNS: 0x2_0000,
	SYSVSEM: 0x4_0000,
	SETTLS: 0x8_0000,
	PARENT_SETTID: 0x10_0000,
	CHILD_CLEARTID: 0x20_0000,
	UNTRACED: 0x80_0000,
	CHILD_SETTID: 0x100_0000,
	NEWCGROUP: 0x200_0000,
	NEWUTS: 0x400_0000,
	NEWIPC: 0x800_0000,
	NEWUSER: 0x1000_0000,
	NEWPID: 0x2000_0000,
	NEWNET: 0x4000_0000,
	IO: 0x8000_0000,
} as const;

/** What makes a task a thread: it shares everything that pthread_create(3) shares. */
export const CLONE_AS_THREAD = CLONE.VM | CLONE.FS | CLONE.FILES | CLONE.SIGHAND | CLONE.THREAD | CLONE.SYSVSEM;

/** `struct clone_args` (include/uapi/linux/sched.h), 88 bytes as of Linux 5.7. */
export const cloneArgs = layout("clone_args", {
	flags: u64,
	pidfd: u64,
	child_tid: u64,
	parent_tid: u64,
	exit_signal: u64,
	/** The lowest byte. */
	stack: u64,
	stack_size: u64,
	tls: u64,
	/** `pid_t *`, the innermost namespace first. */
	set_tid: u64,
	set_tid_size: u64,
	cgroup: u64,
});

/** What kcmp(2) compares (include/uapi/linux/kcmp.h). Its answer is 0 for one and the same, 1 to 3 for two. */
export const KCMP = { FILE: 0, VM: 1, FILES: 2, FS: 3, SIGHAND: 4, EPOLL_TFD: 7 } as const;

/** `struct kcmp_epoll_slot`: the file that an epoll instance watches by a number, the how many-th of these. */
export const kcmpEpollSlot = layout("kcmp_epoll_slot", { efd: u32, tfd: u32, toff: u32 });

/** Of a thread, by its id; 0 is the caller (include/uapi/linux/ioprio.h). */
export const IOPRIO_WHO_PROCESS = 1;

/** An I/O priority is a class in the bits from here on, and a level below; class 0 follows the niceness. */
export const IOPRIO_CLASS_SHIFT = 13n;

export const IOPRIO_CLASS_RT = 1n;

/** Asks which commands membarrier(2) is registered for (include/uapi/linux/membarrier.h; Linux 6.3). */
export const MEMBARRIER_GET_REGISTRATIONS = 512;

/** Registrations are commands, and each is a bit of what {@link MEMBARRIER_GET_REGISTRATIONS} answers. */
export const REGISTRATIONS = 0x154n;
