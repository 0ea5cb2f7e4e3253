/**
 * What becomes of everything that the kernel keeps of a process, by dump and restore: `kept`, also in images that `criu
 * restore` takes (those marked so by our restore alone); `told` by a finding where it is lost; `refused` by name, before
 * anything is written; `anew` where nobody can set it.
 */
export type Fate = "kept" | "kept by ours" | "told" | "refused" | "anew" | "not its own";

export interface AttributeRow {
	readonly name: string;
	readonly fate: Fate;
	/** Where Linux shows it: a line of /proc/PID/status, a name in /proc/PID, an option of prctl(2), RLIMIT_ and CLONE_ names. */
	readonly status?: string;
	readonly proc?: string;
	readonly ns?: string;
	readonly prctl?: string;
	readonly limits?: string;
	readonly clone?: string;
	/** What there is to add. */
	readonly remark?: string;
}

/** One table: a test holds it against the kernel and its headers, README has it from here. */
export const attributeTable: readonly AttributeRow[] = [
	// identity
	{
		name: "process and thread ids",
		fate: "kept",
		status: "Tgid Pid NStgid NSpid",
		proc: "task",
		remark: "or new ones, when asked",
	},
	{ name: "names", fate: "kept", status: "Name", proc: "comm", prctl: "GET_NAME" },
	{
		name: "session, process group, parent",
		fate: "told",
		status: "PPid NSpgid NSsid Ngid",
		remark: "the root leads its own, and its parent is the restorer; of all that come from it kept",
	},
	{
		name: "child processes, and all that come from them",
		fate: "kept",
		remark:
			"also what they share: open files, descriptor tables, memory; CLONE_VM, CLONE_FS and CLONE_SIGHAND are refused",
	},
	{ name: "children that have ended", fate: "kept", remark: "with their status" },
	{
		name: "user, groups, capabilities, securebits, no_new_privs",
		fate: "kept",
		status: "Uid Gid Groups CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs",
		prctl: "GET_SECUREBITS GET_KEEPCAPS GET_NO_NEW_PRIVS",
	},
	{ name: "signal when the parent dies", fate: "kept", prctl: "GET_PDEATHSIG" },
	{ name: "adopting orphans (subreaper)", fate: "kept", prctl: "GET_CHILD_SUBREAPER" },
	{ name: "dumpable", fate: "kept", prctl: "GET_DUMPABLE", remark: "2 becomes 0" },
	{ name: "stopped by job control", fate: "kept", status: "State" },
	{ name: "audit ids", fate: "told", proc: "loginuid sessionid", remark: "they are the restorer's" },
	{ name: "a tracer", fate: "refused", status: "TracerPid" },
	// signals and time
	{ name: "handlers, masks, alternate stacks", fate: "kept", status: "SigBlk SigIgn SigCgt" },
	{ name: "pending signals, of threads and of the process", fate: "kept", status: "SigPnd ShdPnd SigQ" },
	{ name: "interval and POSIX timers", fate: "kept", proc: "timers" },
	{ name: "timer slack", fate: "kept by ours", proc: "timerslack_ns", prctl: "GET_TIMERSLACK" },
	{
		name: "CLOCK_MONOTONIC, CLOCK_BOOTTIME",
		fate: "kept",
		proc: "timens_offsets",
		ns: "time",
		clone: "NEWTIME",
		remark: "in a time namespace of its own, where they are others by now",
	},
	// processor
	{
		name: "registers, TLS, robust lists, clear-tid, rseq",
		fate: "kept",
		proc: "auxv syscall arch_status",
		prctl: "GET_TID_ADDRESS GET_AUXV",
	},
	{ name: "niceness, policy, real-time priority", fate: "kept", proc: "sched", remark: "SCHED_DEADLINE is told" },
	{
		name: "CPU affinity",
		fate: "kept by ours",
		status: "Cpus_allowed Cpus_allowed_list",
		remark: "as far as this host has the processors",
	},
	{ name: "I/O priority", fate: "kept by ours" },
	{ name: "rdtsc and cpuid that fault", fate: "kept by ours", prctl: "GET_TSC" },
	{
		name: "speculation controls",
		fate: "kept by ours",
		status: "Speculation_Store_Bypass SpeculationIndirectBranch",
		prctl: "GET_SPECULATION_CTRL",
	},
	{ name: "membarrier registrations", fate: "kept", remark: "from Linux 6.3 on" },
	{ name: "personality", fate: "kept by ours", proc: "personality", remark: "CRIU stores it, and restores none" },
	{ name: "leave to use AMX", fate: "told" },
	{ name: "local descriptor table", fate: "refused" },
	{ name: "system call user dispatch", fate: "refused" },
	{
		name: "shadow stacks",
		fate: "refused",
		status: "x86_Thread_features x86_Thread_features_locked",
		prctl: "GET_SHADOW_STACK_STATUS",
	},
	{ name: "linear address masking", fate: "refused", status: "untag_mask" },
	{ name: "autogroup, core scheduling, futex hash", fate: "anew", proc: "autogroup" },
	{
		name: "what other processors have",
		fate: "not its own",
		prctl:
			"GET_UNALIGN GET_FPEMU GET_FPEXC GET_ENDIAN GET_FP_MODE GET_TAGGED_ADDR_CTRL GET_INDIR_BR_LP_STATUS GET_TIMING GET_CFI",
	},
	// memory
	{
		name: "mappings, protections, advice, locks, guards",
		fate: "kept",
		status: "VmPeak VmSize VmLck VmData VmStk VmExe VmLib",
		proc: "maps smaps map_files",
	},
	{
		name: "contents",
		fate: "kept",
		status: "VmRSS RssAnon RssFile RssShmem VmSwap VmPTE VmHWM HugetlbPages",
		proc: "mem pagemap",
		remark: "of files: what they hold then",
	},
	{ name: "arguments, environment, program break, executable", fate: "kept", proc: "cmdline environ exe" },
	{ name: "no transparent huge pages", fate: "kept", status: "THP_enabled", prctl: "GET_THP_DISABLE" },
	{ name: "MLOCK_ONFAULT, mseal", fate: "kept by ours" },
	{ name: "memory policies", fate: "kept by ours", proc: "numa_maps", remark: "where the host has the nodes" },
	{
		name: "merging of equal pages (KSM)",
		fate: "kept by ours",
		proc: "ksm_stat ksm_merging_pages",
		prctl: "GET_MEMORY_MERGE",
	},
	{ name: "memory-deny-write-execute", fate: "kept by ours", prctl: "GET_MDWE" },
	{ name: "policy for broken pages (PR_MCE_KILL), I/O flusher", fate: "kept by ours", prctl: "GET_IO_FLUSHER" },
	{ name: "coredump_filter", fate: "kept by ours", proc: "coredump_filter" },
	{ name: "oom_score_adj", fate: "kept", proc: "oom_score_adj oom_adj oom_score" },
	{ name: "userfaultfd, io_setup, memfd_secret, device memory", fate: "refused" },
	{ name: "System V shared memory of our IPC namespace", fate: "told", remark: "its bytes come back without an id" },
	{
		name: "semaphore adjustments (SEM_UNDO)",
		fate: "anew",
		remark: "nobody can see them; they take place when dump ends it",
	},
	{ name: "protection keys, names of anonymous memory", fate: "told" },
	{ name: "whom it lets trace it (PR_SET_PTRACER)", fate: "anew", remark: "nobody can see it" },
	// files
	{
		name: "files, pipes, FIFOs, epoll, eventfd, signalfd, timerfd, memfd",
		fate: "kept",
		status: "FDSize",
		proc: "fd fdinfo",
	},
	{
		name: "inotify",
		fate: "kept",
		remark: "watches of what is found by a path, by the same numbers; events that nobody had read are told",
	},
	{ name: "EFD_SEMAPHORE", fate: "kept by ours" },
	{
		name: "files without a name",
		fate: "kept",
		remark:
			"by another name, where that is in the same directory; other hard links are refused. What they were called is told: they have no name at all",
	},
	{
		name: "deleted directories: working, root and open",
		fate: "kept",
		remark:
			"by their names, or others among temporary files where those are taken or what was around is gone, which is told; or given up with --allow-lost",
	},
	{
		name: "a working or root directory that nobody deleted, but its path leads elsewhere",
		fate: "refused",
		remark: "/proc of an ended process, or one that a mount hides; or given up with --allow-lost",
	},
	{
		name: "open files below /proc about other processes and threads",
		fate: "refused",
		remark:
			"or given up with --missing-fds; those about itself, its first thread, and processes that are dumped with it are kept",
	},
	{
		name: "TCP sockets that listen, or are not connected",
		fate: "kept",
		remark:
			"connections that nobody had accepted are told; so are congestion control, TCP_DEFER_ACCEPT, TCP_USER_TIMEOUT, TCP_FASTOPEN, TCP_NOTSENT_LOWAT, TCP_WINDOW_CLAMP, TCP_SYNCNT, TCP_LINGER2 and packet filters",
	},
	{
		name: "unix sockets, alone or connected to one another",
		fate: "kept",
		remark:
			"with what waits in them; refused where whom they are connected to is not dumped, where descriptors wait in them (SCM_RIGHTS), and where something was sent to whom has not accepted it yet; connections of others that nobody had accepted are told; so are SO_PEEK_OFF, SO_LINGER, packet filters, and SO_PEERCRED of processes that are not dumped",
	},
	{
		name: "pseudo-terminals, with both ends",
		fate: "kept",
		remark:
			"by their numbers, settings, sizes and what waits in them; controlling terminals and foreground groups. One whose other end is elsewhere is refused, or whoever restores it has one of his own for it (--shell-job); output that was stopped is told",
	},
	{
		name: "fanotify groups",
		fate: "kept",
		remark:
			"with marks of inodes and mounts, which takes CAP_SYS_ADMIN, where the user has not got it that of whoever restores; events that nobody had read are told; refused with marks of whole file systems, permission events, or handles in place of descriptors (FAN_REPORT_FID)",
	},
	{
		name: "descriptors of the network, UTS and cgroup namespaces that it is in",
		fate: "kept",
		remark: "of those that it is in when it comes back; other namespaces are refused, or given up with --missing-fds",
	},
	{
		name: "other sockets, BPF, io_uring, devices",
		fate: "refused",
		remark: "or given up with --missing-fds",
	},
	{ name: "FIFOs without a name", fate: "kept", remark: "as pipes, which is told" },
	{
		name: "pidfds",
		fate: "kept",
		remark: "of processes that are dumped with it, or have ended; processes that share one open it each for themselves",
	},
	{
		name: "locks and leases on files",
		fate: "kept",
		remark: "unless others hold them by then, who are named; --no-file-locks goes on without",
	},
	{ name: "dnotify (F_NOTIFY)", fate: "told", remark: "by its owner: nothing else shows" },
	{ name: "working directory, root, umask", fate: "kept", status: "Umask", proc: "cwd root" },
	// limits
	{
		name: "limits",
		fate: "kept",
		proc: "limits",
		limits: "CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING MSGQUEUE NICE RTPRIO RTTIME",
	},
	// confinement
	{
		name: "mount, pid and user namespaces other than ours",
		fate: "refused",
		ns: "mnt pid user",
		proc: "ns uid_map gid_map projid_map setgroups",
		clone: "NEWNS NEWPID NEWUSER",
		remark: "run it there; of those that CRIU's images have, restore says so, and --allow-lost goes on",
	},
	{
		name: "an IPC namespace other than ours",
		fate: "kept",
		ns: "ipc",
		clone: "NEWIPC",
		remark:
			"a new one, with System V's segments, semaphores, queues and settings by their ids; what semaphores were to undo (SEM_UNDO), and segments of ours, are losses",
	},
	{
		name: "network, UTS and cgroup namespaces other than ours",
		fate: "refused",
		ns: "net uts cgroup",
		proc: "net",
		clone: "NEWNET NEWUTS NEWCGROUP",
		remark: "or given up with --allow-lost; by restore too, where CRIU's images have them",
	},
	{ name: "namespaces for its children", fate: "refused", ns: "pid_for_children time_for_children" },
	{ name: "seccomp", fate: "refused", status: "Seccomp Seccomp_filters", prctl: "GET_SECCOMP" },
	{ name: "labels of security modules", fate: "refused", proc: "attr" },
	{ name: "Landlock", fate: "told", remark: "it cannot be seen: a caution with no_new_privs, else a note" },
	{ name: "keyrings", fate: "told", remark: "a new session keyring, with the user's in it if it was" },
	{ name: "cgroup", fate: "told", status: "Mems_allowed Mems_allowed_list", proc: "cgroup cpuset" },
	// what nobody can set
	{
		name: "counters and statistics, start time, CPU time",
		fate: "anew",
		status: "voluntary_ctxt_switches nonvoluntary_ctxt_switches CoreDumping VmPin",
		proc: "stat statm status io schedstat wchan stack smaps_rollup clear_refs patch_state latency fail-nth make-it-fail seccomp_cache",
	},
	{ name: "threads", fate: "kept", status: "Threads" },
	{
		name: "mounts",
		fate: "not its own",
		status: "Kthread",
		proc: "mounts mountinfo mountstats",
		remark: "they are the namespace's",
	},
];

/** Which of the names in one column a table has. */
export const namesIn = (column: keyof AttributeRow, rows = attributeTable): ReadonlySet<string> =>
	new Set(rows.flatMap((row) => (row[column] ?? "").split(" ").filter(Boolean)));
