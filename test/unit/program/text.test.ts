import { describe, expect, it } from "vitest";
import type { Arg, Place } from "../../../src/program/args.ts";
import type { CallName } from "../../../src/program/calls.ts";
import { bytesDatum, cellDatum, pathDatum, spaceDatum } from "../../../src/program/data.ts";
import type { Expect } from "../../../src/program/program.ts";
import { stepText } from "../../../src/program/text.ts";

const latin = (text: string): Uint8Array => Buffer.from(text, "latin1");
const words = (...values: bigint[]): Buffer => {
	const bytes = Buffer.alloc(values.length * 8);
	for (const [i, value] of values.entries()) bytes.writeBigUInt64LE(BigInt.asUintN(64, value), i * 8);
	return bytes;
};
const ints = (...values: number[]): Buffer => {
	const bytes = Buffer.alloc(values.length * 4);
	for (const [i, value] of values.entries()) bytes.writeInt32LE(value, i * 4);
	return bytes;
};

const text = (call: CallName, args: readonly Arg[], expect: Expect = "success", save?: Place): string =>
	stepText({ stage: "map", call, args, expect, why: "", ...(save === undefined ? {} : { save }) });

describe("a step as text", () => {
	const path = pathDatum("path of the log", "/var/log/x");
	const cell = cellDatum("log");

	it.each<[string, string]>([
		[
			text("mmap", [0x7f00_0000_0000n, 8192n, 3n, 0x10_0022n, -1n, 0n], { exactly: 0x7f00_0000_0000n }),
			"mmap(0x7f0000000000, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = 0x7f0000000000",
		],
		[
			text("mmap", [0n, 4096n, 0n, 0x22n, -1n, 0n], { exactly: -17n }),
			"mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = EEXIST",
		],
		[
			text("openat", [-100n, path, 0o2000002n], "success", cell),
			'openat(AT_FDCWD, "/var/log/x", O_RDWR|O_CLOEXEC) = success -> [log]',
		],
		[text("lseek", [{ valueOf: cell }, 10n, 0n], { exactly: 10n }), "lseek([log], 10, SEEK_SET) = 10"],
		[text("dup3", [3n, 5n, 0n], { exactly: 5n }), "dup3(3, 5, 0) = 5"],
		[text("close_range", [65n, 0xffff_ffffn, 0n]), "close_range(65, ~0U, 0) = success"],
		[text("fcntl", [4n, 1030n, 64n]), "fcntl(4, F_DUPFD_CLOEXEC, 64) = success"],
		[text("fcntl", [7n, 2n, 1n]), "fcntl(7, F_SETFD, FD_CLOEXEC) = success"],
		[text("fcntl", [7n, 4n, 0o6000n]), "fcntl(7, F_SETFL, O_RDONLY|O_APPEND|O_NONBLOCK) = success"],
		[
			text("fcntl", [7n, 15n, bytesDatum("owner", ints(1, 5739))], { successOr: 3 }),
			"fcntl(7, F_SETOWN_EX, {type=F_OWNER_PID, pid=5739}) = success or ESRCH",
		],
		[
			text("madvise", [0x1000n, 4096n, 14n], { successOr: 22 }),
			"madvise(0x1000, 4096, MADV_HUGEPAGE) = success or EINVAL",
		],
		[text("munmap", [0n, 4096n], "anything"), "munmap(NULL, 4096) = anything"],
		[text("wait4", [-1n, 0n, 0x4000_0000n, 0n], "until-error"), "wait4(-1, NULL, 010000000000, NULL) until it fails"],
		[text("arch_prctl", [0x2003n, 0x7000n], { exactly: 8192n }), "arch_prctl(ARCH_MAP_VDSO_64, 0x7000) = 8192"],
		[text("prctl", [1n, 9n, 0n, 0n, 0n]), "prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) = success"],
		[text("prctl", [15n, pathDatum("comm", "worker")]), 'prctl(PR_SET_NAME, "worker") = success'],
		[
			text("prlimit64", [0n, 7n, bytesDatum("l", words(1024n, -1n)), 0n]),
			"prlimit64(0, RLIMIT_NOFILE, {rlim_cur=1024, rlim_max=RLIM64_INFINITY}, NULL) = success",
		],
		[text("setgroups", [2n, bytesDatum("g", ints(4, 100))]), "setgroups(2, [4, 100]) = success"],
		[
			text("rt_sigprocmask", [2n, bytesDatum("m", words(0x202n)), 0n, 8n]),
			"rt_sigprocmask(SIG_SETMASK, [SIGINT SIGUSR1], NULL, 8) = success",
		],
		[
			text("rt_sigprocmask", [2n, bytesDatum("m", words(~2n)), 0n, 8n]),
			"rt_sigprocmask(SIG_SETMASK, ~[SIGINT], NULL, 8) = success",
		],
		[
			text("timerfd_settime", [9n, 0n, bytesDatum("t", words(1n, 500_000_000n, 0n, 1n)), 0n]),
			"timerfd_settime(9, 0, {it_interval=1.5 s, it_value=0.000000001 s}, NULL) = success",
		],
		[
			text("epoll_ctl", [8n, 1n, 3n, bytesDatum("e", Buffer.concat([ints(1), words(0xabcn)]))]),
			"epoll_ctl(8, EPOLL_CTL_ADD, 3, {events=EPOLLIN, data=0xabc}) = success",
		],
		[text("write", [1n, bytesDatum("b", latin("hello")), 5n], { exactly: 5n }), 'write(1, "hello", 5) = 5'],
		[
			text("write", [1n, bytesDatum("b", latin("x".repeat(40))), 40n], { exactly: 40n }),
			`write(1, "${"x".repeat(32)}…", 40) = 40`.replace('…"', '"…'),
		],
		[text("leave", [{ ...spaceDatum("frame of 5", 900), offset: 8 }]), "leave(&[frame of 5]+8) = success"],
		[text("futex", [cell, 1n, 0x7fff_ffffn]), "futex(&[log], FUTEX_WAKE, INT_MAX) = success"],
		[
			text("futex", [cell, 5n, 0x7fff_ffffn, 0n, cell, 0x2001000n]),
			"futex(&[log], FUTEX_WAKE_OP, INT_MAX, NULL, &[log], FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_LT, 0)) = success",
		],
		[text("eventfd2", [3n, 0x80001n]), "eventfd2(3, EFD_SEMAPHORE|EFD_CLOEXEC) = success"],
		[
			text("memfd_create", [cell, 0x5400_0005n]),
			"memfd_create(&[log], MFD_CLOEXEC|MFD_HUGETLB|21<<MFD_HUGE_SHIFT) = success",
		],
		[
			text("rt_sigaction", [10n, bytesDatum("a", words(0x401136n, 0x1400_0004n, 0x7000n, 0x4000n)), 0n, 8n]),
			"rt_sigaction(SIGUSR1, {sa_handler=0x401136, sa_flags=SA_SIGINFO|SA_RESTORER|SA_RESTART, sa_restorer=0x7000, sa_mask=[SIGTERM]}, NULL, 8) = success",
		],
		[
			text("rt_sigaction", [13n, bytesDatum("a", words(1n, 0n, 0n, 0n)), 0n, 8n]),
			"rt_sigaction(SIGPIPE, {sa_handler=SIG_IGN}, NULL, 8) = success",
		],
		[
			text("rt_sigaction", [13n, bytesDatum("a", words(0n, 0n, 0n, 0n)), 0n, 8n]),
			"rt_sigaction(SIGPIPE, {SIG_DFL}, NULL, 8) = success",
		],
		[
			text("sigaltstack", [bytesDatum("s", words(0x5000n, 0n, 8192n)), 0n]),
			"sigaltstack({ss_sp=0x5000, ss_size=8192}, NULL) = success",
		],
		[
			text("setitimer", [0n, bytesDatum("i", words(0n, 0n, 2n, 250_000n)), 0n]),
			"setitimer(ITIMER_REAL, {it_interval=0 s, it_value=2.25 s}, NULL) = success",
		],
		[
			text("timer_create", [
				1n,
				bytesDatum("e", Buffer.concat([words(7n), ints(14, 4, 5741), Buffer.alloc(44)])),
				cell,
			]),
			"timer_create(CLOCK_MONOTONIC, {sigev_value=7, sigev_signo=SIGALRM, sigev_notify=SIGEV_THREAD_ID, sigev_notify_thread_id=5741}, &[log]) = success",
		],
		[
			text("capset", [cell, bytesDatum("c", ints(1, 2, 0, 0x100, 0x100, 0))]),
			"capset(&[log], {effective=0x10000000001, permitted=0x10000000002, inheritable=0x0}) = success",
		],
		[text("write", [3n, bytesDatum("report", new Uint8Array(24)), 24n]), "write(3, &[report], 24) = success"],
		[
			text("setrlimit", [4n, bytesDatum("l", words(0n, 0n))]),
			"setrlimit(RLIMIT_CORE, {rlim_cur=0, rlim_max=0}) = success",
		],
		[text("prctl", [24n, 21n, 0n, 0n, 0n]), "prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) = success"],
		[
			text("sched_setscheduler", [0n, 0x4000_0001n, bytesDatum("p", ints(9))]),
			"sched_setscheduler(0, SCHED_FIFO|SCHED_RESET_ON_FORK, [9]) = success",
		],
		[text("uname", [4096n, 3n]), "uname(0x1000, 3) = success"],
	])("%s", (shown, wanted) => {
		expect(shown).toBe(wanted);
	});

	it("shows structures with what their pointers mean", () => {
		const tid = bytesDatum("tid", ints(5741));
		const stack = spaceDatum("stack of 5741", 4096);
		const args = bytesDatum("clone_args", words(0x1_0100n, 0n, 0n, 0n, 17n, 0n, 4096n, 0n, 0n, 1n, 0n), {
			pointers: [
				{ at: 40, to: stack },
				{ at: 64, to: tid },
			],
		});
		const context = spaceDatum("context", 16);
		expect(text("spawn", [args, 88n, context, { list: "thread 5741" }], { exactly: 5741n })).toBe(
			"spawn({flags=CLONE_VM|CLONE_THREAD, exit_signal=SIGCHLD, stack=&[stack of 5741], stack_size=4096, set_tid=[5741], set_tid_size=1}, 88, &[context], list thread 5741) = 5741",
		);
	});

	it("shows where a thread goes on", () => {
		const context = Buffer.alloc(304);
		context.writeBigUInt64LE(0x9000n, 16);
		context.writeBigUInt64LE(8192n, 32);
		context.writeBigUInt64LE(0xfffcn, 40 + 13 * 8);
		context.writeBigUInt64LE(0x7ffe_0000n, 40 + 15 * 8);
		context.writeBigUInt64LE(0x40_1136n, 40 + 16 * 8);
		context.writeBigUInt64LE(1n, 296);
		expect(text("leave", [bytesDatum("frame", context)])).toBe(
			"leave({rip=0x401136, rsp=0x7ffe0000, rax=0xfffc, uc_stack={ss_sp=0x9000, ss_size=8192}, uc_sigmask=[SIGHUP]}) = success",
		);
		expect(text("leave", [bytesDatum("short", new Uint8Array(64))])).toBe("leave(&[short]) = success");
	});

	it("shows the first of many pieces", () => {
		const vector = bytesDatum("v", words(...[1n, 2n, 3n, 4n, 5n, 6n].flatMap((n) => [n * 4096n, 4096n])));
		expect(text("preadv", [3n, vector, 6n, 0x2000n, 0n], { exactly: 24_576n })).toBe(
			"preadv(3, [{iov_base=0x1000, iov_len=4096}, {iov_base=0x2000, iov_len=4096}, {iov_base=0x3000, iov_len=4096}, {iov_base=0x4000, iov_len=4096}, … 2 more], 6, 0x2000, 0) = 24576",
		);
	});
});
