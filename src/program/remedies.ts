import { F } from "../linux/fcntl.ts";
import { MADV, MAP } from "../linux/mman.ts";
import { PR, PR_SET_MM } from "../linux/prctl.ts";
import type { CallName } from "./calls.ts";
import type { Step } from "./program.ts";

/** What to do when a call fails in a way that is known. */
interface Remedy {
	/** Any without. */
	readonly calls?: readonly CallName[];
	readonly errno: string;
	readonly when?: (step: Step) => boolean;
	readonly text: string;
}

const literal = ({ args }: Step, index: number): bigint =>
	typeof args[index] === "bigint" ? BigInt.asUintN(64, args[index]) : 0n;

const has =
	(index: number, value: number) =>
	(step: Step): boolean =>
		literal(step, index) === BigInt(value);

const hasFlag =
	(index: number, flag: number) =>
	(step: Step): boolean =>
		(literal(step, index) & BigInt(flag)) !== 0n;

const hasTime = (step: Step): boolean => step.stage === "clocks";

const RLIMIT_MEMLOCK = "raise RLIMIT_MEMLOCK, or grant CAP_IPC_LOCK";
const OVERCOMMIT =
	"free memory, allow more of it (vm.overcommit_memory, the cgroup's memory.max) or more mappings (vm.max_map_count)";
const CHECKPOINT = "needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN";
/** A number beyond the limit is no error of its own: dup2(2) says EBADF, F_DUPFD_CLOEXEC says EINVAL. */
const DESCRIPTORS = "raise RLIMIT_NOFILE (ulimit -n) above the numbers of its descriptors";
const SIGPENDING = "raise RLIMIT_SIGPENDING of this user";

/** The first that fits is told: what is special stands before what is general. */
const remedies: readonly Remedy[] = [
	{
		calls: ["spawn", "clone3"],
		errno: "EEXIST",
		text: "the id is taken: end its holder, or restore with --pid-namespace or --fresh-ids",
	},
	{
		calls: ["spawn", "clone3"],
		errno: "EPERM",
		text: `${CHECKPOINT} over the pid namespace, or --pid-namespace, or --fresh-ids`,
	},
	{
		calls: ["spawn", "clone3"],
		errno: "EINVAL",
		text: "ids end at kernel.pid_max: raise it, or restore with --pid-namespace or --fresh-ids",
	},
	{
		calls: ["spawn", "clone3"],
		errno: "EAGAIN",
		text: "too many tasks: raise RLIMIT_NPROC, kernel.threads-max or the cgroup's pids.max",
	},
	{
		calls: ["unshare", "setns"],
		errno: "EPERM",
		when: hasTime,
		text: "needs CAP_SYS_ADMIN for a time namespace: restore with --clock host",
	},
	{
		calls: ["unshare"],
		errno: "EINVAL",
		when: hasTime,
		text: "this kernel has no time namespaces (CONFIG_TIME_NS): restore with --clock host",
	},
	{
		calls: ["unshare"],
		errno: "ENOSPC",
		when: hasTime,
		text: "raise user.max_time_namespaces, or restore with --clock host",
	},
	{ calls: ["setns"], errno: "EUSERS", when: hasTime, text: "only who has one thread can move: this is a bug" },
	{ calls: ["prctl"], errno: "EPERM", when: has(1, PR_SET_MM.MAP), text: CHECKPOINT },
	{ calls: ["prctl"], errno: "EACCES", when: has(1, PR_SET_MM.MAP), text: "give the executable its x permission back" },
	{ calls: ["prctl"], errno: "EINVAL", when: has(1, PR_SET_MM.MAP), text: "raise RLIMIT_DATA above data and heap" },
	{ calls: ["prctl"], errno: "EPERM", when: has(0, PR.CAPBSET_DROP), text: "needs CAP_SETPCAP" },
	{ calls: ["prctl"], errno: "EPERM", when: has(0, PR.SET_SECUREBITS), text: "needs CAP_SETPCAP" },
	{ calls: ["capset"], errno: "EPERM", text: "the process had capabilities that this user has not: restore as root" },
	{
		calls: ["mmap", "mremap"],
		errno: "ENOMEM",
		when: hasFlag(3, MAP.HUGETLB),
		text: "reserve huge pages of that size (vm.nr_hugepages)",
	},
	{ calls: ["mmap"], errno: "EAGAIN", when: hasFlag(3, MAP.LOCKED), text: RLIMIT_MEMLOCK },
	{ calls: ["mmap"], errno: "EPERM", when: hasFlag(3, MAP.LOCKED), text: RLIMIT_MEMLOCK },
	{ calls: ["mmap"], errno: "EPERM", text: "lower vm.mmap_min_addr, or mount the file's file system without noexec" },
	{ calls: ["mmap"], errno: "EACCES", text: "the file must be readable, and writable where the mapping is shared" },
	{ calls: ["mlock", "mlock2", "mlockall"], errno: "ENOMEM", text: RLIMIT_MEMLOCK },
	{ calls: ["mlock", "mlock2", "mlockall"], errno: "EPERM", text: RLIMIT_MEMLOCK },
	{ calls: ["mlock", "mlock2", "mlockall"], errno: "EAGAIN", text: RLIMIT_MEMLOCK },
	{
		calls: ["madvise"],
		errno: "EINVAL",
		when: has(2, MADV.GUARD_INSTALL),
		text: "needs Linux 6.13 or newer",
	},
	{ calls: ["mmap", "mremap", "mprotect", "madvise", "brk", "memfd_create"], errno: "ENOMEM", text: OVERCOMMIT },
	{
		calls: ["openat", "open"],
		errno: "ENOENT",
		when: ({ stage }) => stage === "files",
		text: "put the file back, or name another with --fd N=PATH",
	},
	{ calls: ["openat", "open"], errno: "ENOENT", text: "put the file back as it was" },
	{ calls: ["openat", "open"], errno: "EACCES", text: "run as a user who may open the file" },
	{ calls: ["openat", "open"], errno: "EPERM", text: "run as a user who may open the file" },
	{ calls: ["openat", "open"], errno: "ETXTBSY", text: "end the processes that run the file" },
	{ calls: ["openat", "open"], errno: "EROFS", text: "mount its file system read-write" },
	{ calls: ["chdir", "chroot"], errno: "ENOENT", text: "make the directory again" },
	{ calls: ["chdir"], errno: "EACCES", text: "run as a user who may enter the directory" },
	{ calls: ["chroot"], errno: "EPERM", text: "needs CAP_SYS_CHROOT" },
	{ calls: ["fcntl"], errno: "EINVAL", when: has(1, F.DUPFD_CLOEXEC), text: DESCRIPTORS },
	{ calls: ["dup2", "dup3"], errno: "EBADF", text: DESCRIPTORS },
	{ calls: ["fcntl"], errno: "EPERM", text: "raise fs.pipe-max-size, or grant CAP_SYS_RESOURCE" },
	{ calls: ["setresuid", "setuid", "setfsuid"], errno: "EPERM", text: "needs CAP_SETUID" },
	{ calls: ["setresgid", "setgid", "setfsgid", "setgroups"], errno: "EPERM", text: "needs CAP_SETGID" },
	{
		calls: ["setresuid", "setresgid", "setgroups"],
		errno: "EINVAL",
		text: "the user namespace has no such user or group",
	},
	{ calls: ["setrlimit", "prlimit64"], errno: "EPERM", text: "needs CAP_SYS_RESOURCE to raise a hard limit" },
	{ calls: ["setpriority", "sched_setscheduler", "sched_setattr"], errno: "EPERM", text: "needs CAP_SYS_NICE" },
	{ calls: ["setpriority", "sched_setscheduler", "sched_setattr"], errno: "EACCES", text: "needs CAP_SYS_NICE" },
	{ calls: ["arch_prctl"], errno: "EEXIST", text: "the kernel's own vdso is still mapped: this is a bug" },
	{ calls: ["timer_create", "rt_sigqueueinfo", "rt_tgsigqueueinfo"], errno: "EAGAIN", text: SIGPENDING },
	{ errno: "ENOSPC", text: "free space on the file system (of /dev/shm for shared memory)" },
	{ errno: "EDQUOT", text: "free space of this user's quota" },
	{ errno: "EMFILE", text: "raise RLIMIT_NOFILE" },
	{ errno: "ENFILE", text: "raise fs.file-max" },
	{ errno: "ENOMEM", text: "free memory" },
	{ errno: "EIO", text: "look at the disk that holds the files" },
	{ errno: "ENOSYS", text: "this kernel does not have the call, or a seccomp filter hides it" },
];

/** What is known to help when a step ends with this errno. */
export const remedyFor = (step: Step, errno: string): string | undefined =>
	remedies.find(
		({ calls, errno: wanted, when }) =>
			wanted === errno && (calls === undefined || calls.includes(step.call)) && when?.(step) !== false,
	)?.text;
