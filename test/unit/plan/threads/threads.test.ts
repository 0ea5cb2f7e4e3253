import { describe, expect, it } from "vitest";
import { address } from "../../../../src/bytes/address.ts";
import { caution, loss } from "../../../../src/finding.ts";
import type { Limit, PosixTimer, Task, Thread } from "../../../../src/forest/task.ts";
import type { Plan } from "../../../../src/plan/plan.ts";
import {
	NOBODY,
	registersOf,
	siginfoOf,
	taskOfThreads,
	threadOf,
	xstateOf,
} from "../../../support/builders/thread-task.ts";
import { allCapable } from "../../../support/models/model-threads.ts";
import { anyKernel, factsOf, planOfThreads, runThreads } from "../../../support/models/run-threads.ts";
import { stepText } from "../../../support/models/step-text.ts";
import { only, present } from "../../../support/present.ts";
import { refusal } from "../../../support/refusal.ts";

const PID = 100;
const leaderOf = (more: Partial<Thread> = {}): Thread => threadOf(PID, more);
const planOf = (threads: readonly Thread[], more: Partial<Task> = {}): Plan =>
	planOfThreads(taskOfThreads(threads, more), factsOf("amd"));

const linesOf = ({ lists }: Plan, list: string, stage: string): string[] =>
	present(lists.find(({ name }) => name === list))
		.steps.filter((step) => step.stage === stage)
		.map(stepText);

const datumOf = ({ data }: Plan, name: string) => only(data.filter((datum) => datum.name === name));
const hexOf = (plan: Plan, name: string): string => Buffer.from(datumOf(plan, name).bytes).toString("hex");

describe("identity", () => {
	it("comes first: deaf, bound to the restorer, in its own session", () => {
		expect(linesOf(planOf([leaderOf()]), "leader", "identity")).toEqual([
			"rt_sigprocmask(2, [ffffffffffffffff], 0, 8)",
			"prctl(1, 9, 0, 0, 0)",
			"setsid() = 100",
			"fcntl(4, 0x406, 64) = 64",
		]);
	});

	it("says which session and group are lost", () => {
		const identity = { pid: PID, ppid: 1, pgid: 90, sid: 80, comm: "dead" };
		expect(planOf([leaderOf()], { identity }).findings).toEqual([
			caution(
				"session",
				"process 100",
				"was in session 80 and process group 90; now it leads its own, without a terminal",
			),
		]);
	});

	it("is a subreaper where it was, and as likely to be sacrificed as before", () => {
		const identity = { ...taskOfThreads([threadOf(100)]).identity, oomScoreAdjust: -5, childSubreaper: true };
		const lived = (capabilities: bigint) => {
			const plan = planOfThreads(taskOfThreads([threadOf(100)], { identity }), factsOf("amd"));
			const credentials = { ...allCapable(), effective: capabilities, permitted: capabilities };
			const { process, failed } = runThreads(plan, factsOf("amd"), anyKernel({ credentials }));
			return { failed, oomScore: process.oomScore, subreaper: process.subreaper };
		};
		expect(lived((1n << 41n) - 1n)).toEqual({ failed: [], oomScore: -5, subreaper: true });
		// without CAP_SYS_RESOURCE it stays what the restorer is
		expect(lived(((1n << 41n) - 1n) ^ (1n << 24n))).toEqual({ failed: [], oomScore: 0, subreaper: true });
	});

	it("refuses a score that there is not", () => {
		const identity = { ...taskOfThreads([threadOf(100)]).identity, oomScoreAdjust: 1001 };
		expect(refusal(() => planOfThreads(taskOfThreads([threadOf(100)], { identity }), factsOf("amd")))).toBe(
			"ERR_TASK_UNRUNNABLE oom_score_adj: is 1001, expected -1000 to 1000",
		);
	});

	it("makes itself room to work where the restorer's limits are low", () => {
		const limits: Limit[] = new Array<Limit>(16).fill({ soft: 5000n, hard: 5000n });
		limits[7] = { soft: 256n, hard: 512n };
		limits[9] = { soft: 1n << 20n, hard: (1n << 64n) - 1n };
		const plan = planOfThreads(taskOfThreads([leaderOf()]), factsOf("amd", { limits }));
		expect(linesOf(plan, "leader", "identity").slice(3, -1)).toEqual([
			"prlimit64(0, 7, [41040000000000004104000000000000], 0)",
			"prlimit64(0, 9, [ffffffffffffffffffffffffffffffff], 0)",
		]);
	});
});

describe("threads", () => {
	it("are cloned with their ids and nothing that the plan does not set itself", () => {
		const plan = planOf([leaderOf(), threadOf(0x1234)]);
		expect(linesOf(plan, "leader", "threads")[0]).toMatch(/^spawn\(\[.*\], 88, \[.*\], thread 4660\) = 4660$/);
		const word = (value: bigint): string => {
			const bytes = Buffer.alloc(8);
			bytes.writeBigUInt64LE(value);
			return bytes.toString("hex");
		};
		// CLONE_VM|FS|FILES|SIGHAND|THREAD|SYSVSEM, then pidfd, child_tid, parent_tid, exit_signal, stack, stack_size…
		expect(hexOf(plan, "clone_args of thread 4660")).toBe(
			[0x50f00n, 0n, 0n, 0n, 0n, 0n, 4096n, 0n, 0n, 1n, 0n].map(word).join(""),
		);
		expect(
			datumOf(plan, "clone_args of thread 4660").pointers.map(({ at, to }) => [at, to.datum.name, to.datum.size]),
		).toEqual([
			[40, "stack of thread 4660", 4096],
			[64, "id of thread 4660", 4],
		]);
		expect(hexOf(plan, "id of thread 4660")).toBe("34120000");
	});

	it("wait for one another, all for the leader and the leader for all", () => {
		const plan = planOf([leaderOf(), threadOf(101), threadOf(102)]);
		expect(linesOf(plan, "leader", "threads").slice(-2)).toEqual([
			"await(<whether thread 101 is complete>, 101)",
			"await(<whether thread 102 is complete>, 102)",
		]);
		expect(linesOf(plan, "thread 101", "leave").slice(0, 3)).toEqual([
			"gettid() = 101",
			"futex(<whether thread 101 is complete>, 1, 0x7fffffff, 0, 0, 0)",
			"await(<go>, 1)",
		]);
		expect(linesOf(plan, "thread 101", "leave")[3]).toMatch(/^leave\(\[0700000000000000/);
	});

	it("have what they had, and nothing is set that they had not", () => {
		const state: Partial<Thread> = {
			...{ registers: registersOf(0n, { fs_base: 0x5000n, gs_base: 0x6000n }), clearTid: address(0x5010n) },
			...{ robustList: address(0x5020n), rseq: { area: address(0x5040n), size: 32, signature: 0x53053053 } },
			scheduling: { nice: -5, policy: 2, priority: 9 },
		};
		const plan = planOf([leaderOf(), threadOf(101, state), threadOf(102)]);
		expect(linesOf(plan, "thread 101", "threads")).toEqual([
			...["arch_prctl(0x1002, 0x5000)", "arch_prctl(0x1001, 0x6000)", "set_tid_address(0x5010) = 101"],
			...["set_robust_list(0x5020, 24)", "rseq(0x5040, 32, 0, 0x53053053)", "setpriority(0, 0, -5) or error 13"],
			...["sched_setscheduler(0, 2, [09000000]) or error 1", 'prctl(15, "thread 101", 0, 0, 0)'],
		]);
		expect(linesOf(plan, "thread 102", "threads")).toEqual([
			...["arch_prctl(0x1002, 0)", "arch_prctl(0x1001, 0)", "setpriority(0, 0, 0) or error 13"],
			...["sched_setscheduler(0, 0, [00000000]) or error 1", 'prctl(15, "thread 102", 0, 0, 0)'],
		]);
	});

	it("say what of their state is lost", () => {
		const odd: Partial<Thread> = {
			registers: registersOf(0n, { flags: 0x346n, ds: 0x2bn, fs: 0x63n, ss: 0x2fn }),
			xstate: xstateOf(1, { xstateBv: 0x227n, components: new Map([[5, new Uint8Array(64).fill(1)]]) }),
			alternateStack: { base: address(0x5000n), size: 1024n, flags: 0 },
			scheduling: { nice: 0, policy: 6, priority: 0 },
			pending: [siginfoOf(9, 0), siginfoOf(19, 0)],
		};
		const { findings, lists } = planOf([leaderOf(odd)]);
		expect(findings.map(({ subject, text }) => `${subject} ${text}`)).toEqual([
			"thread 100 had the policy SCHED_DEADLINE, whose times are not known",
			"thread 100 SIGKILL was pending; it is not sent again",
			"thread 100 SIGSTOP was pending; it is not sent again",
			"thread 100 used opmask, which this processor has not; those registers are reset",
			"thread 100 was being single-stepped; it resumes without the trap flag",
			"thread 100 ss was 0x2f; it is 0x2b now",
			"thread 100 ds was 0x2b, fs was 0x63; selectors are 0 now",
			"thread 100 its alternate signal stack of 1024 bytes is too small for the kernel; it has none now",
		]);
		expect(lists.flatMap(({ steps }) => steps).some(({ call }) => call === "rt_tgsigqueueinfo")).toBe(false);
	});

	it.each<[Partial<Thread>, string]>([
		[
			{ seccomp: "filter" },
			"ERR_UNSUPPORTED thread 101: runs under seccomp filters, expected neither: they cannot be restored yet; make the donor without them",
		],
		[
			{ seccomp: "strict" },
			"ERR_UNSUPPORTED thread 101: runs in seccomp's strict mode, expected neither: they cannot be restored yet; make the donor without them",
		],
		[
			{ registers: registersOf(0n, { cs: 0x23n }) },
			"ERR_UNSUPPORTED thread 101: runs 32-bit code (cs 0x23), expected 64-bit code, 0x33",
		],
		[{ registers: registersOf(0n, { cs: 0n }) }, "ERR_TASK_UNRUNNABLE thread 101: cs is 0x0, expected 0x33"],
		[
			{ registers: registersOf(0n, { fs_base: 0xffff_8000_0000_0000n }) },
			"ERR_TASK_UNRUNNABLE thread 101: fs_base is 0xffff800000000000, expected less than 0x7ffffffff000",
		],
		[
			{ registers: registersOf(0n, { gs_base: 0x7fff_ffff_f000n }) },
			"ERR_TASK_UNRUNNABLE thread 101: gs_base is 0x7ffffffff000, expected less than 0x7ffffffff000",
		],
		[
			{ pending: [new Uint8Array(127)] },
			"ERR_TASK_UNRUNNABLE thread 101: a pending signal's siginfo is 127 bytes, expected 128",
		],
		[{ pending: [siginfoOf(65, 0)] }, "ERR_TASK_UNRUNNABLE thread 101: signal 65 is pending, expected 1 to 64"],
	])("are refused when they would not run: %#", (more, message) => {
		expect(refusal(() => planOf([leaderOf(), threadOf(101, more)]))).toBe(message);
	});

	it("may stand anywhere, even where there is no address", () => {
		const nowhere = registersOf(0n, { ip: 0x8000_0000_0000n, sp: 0x4141_4141_4141_4141n });
		expect(planOf([leaderOf(), threadOf(101, { registers: nowhere })]).tids).toHaveLength(2);
	});

	it("may be in [vsyscall]", () => {
		const registers = registersOf(0n, { ip: 0xffff_ffff_ff60_0000n });
		expect(planOf([leaderOf({ registers })]).findings).toEqual([]);
	});
});

describe("credentials", () => {
	it("are set in the order in which each is still allowed", () => {
		const credentials = {
			...{ ...NOBODY, groups: [4, 27], fsuid: 7, bounding: (1n << 41n) - 2n, noNewPrivileges: true },
			...{ permitted: 0x401n, effective: 1n, inheritable: 0x400n, ambient: 0x400n, securebits: 0x10 },
		};
		const plan = planOf([leaderOf({ credentials })]);
		expect(linesOf(plan, "leader", "credentials")).toEqual([
			...["setgroups(2, [040000001b000000]) or error 1", "prctl(28, 4, 0, 0, 0) or error 1"],
			...["setresgid(0xfffe, 0xfffe, 0xfffe)", "setresuid(0xfffe, 0xfffe, 0xfffe)"],
			...["setfsuid(7) anything", "setfsuid(7) = 7", "prctl(28, 16, 0, 0, 0)", "prctl(24, 0, 0, 0, 0) or error 1"],
			"capset([2205082000000000], [010000000104000000040000000000000000000000000000])",
			"prctl(47, 2, 10, 0, 0)",
			...["getuid() = 65534", "geteuid() = 65534", "getgid() = 65534", "getegid() = 65534"],
			...["prctl(38, 1, 0, 0, 0)", "prctl(1, 9, 0, 0, 0)"],
		]);
	});

	it("come after limits, of which those above the restorer's are tried", () => {
		const most = { soft: 100n, hard: 100n };
		const facts = factsOf("amd", { limits: new Array<Limit>(16).fill(most) });
		const limits = [
			{ soft: 50n, hard: 60n },
			{ soft: 90n, hard: 200n },
			{ soft: 9n, hard: 5n },
		];
		const plan = planOfThreads(taskOfThreads([leaderOf()], { limits }), facts);
		expect(linesOf(plan, "leader", "credentials").slice(0, 4)).toEqual([
			"prlimit64(0, 0, [32000000000000003c00000000000000], 0)",
			"prlimit64(0, 1, [5a000000000000006400000000000000], 0)",
			"prlimit64(0, 1, [5a00000000000000c800000000000000], 0) or error 1",
			"prlimit64(0, 2, [05000000000000000500000000000000], 0)",
		]);
		expect(plan.findings).toEqual([
			loss("limits", "limit FSIZE", "was 200 at most; without CAP_SYS_RESOURCE it is 100"),
		]);
	});
});

const timer = (id: number, more: Partial<PosixTimer> = {}): PosixTimer => ({
	...{ id, clock: 1, signal: 10, notify: 0, value: 0x77n, remaining: 0n, interval: 0n, overrun: 0 },
	...more,
});

describe("timers", () => {
	it("are made in the order of their ids, with gaps for kernels that only count", () => {
		const plan = planOf([leaderOf()], { posixTimers: [timer(2), timer(0)] });
		const event = "77000000000000000a";
		expect(linesOf(plan, "leader", "timers").map((line) => line.replace(/0{17,}/g, "0…"))).toEqual([
			"prctl(77, 1, 0, 0, 0) or error 22",
			`timer_create(1, [${event}0…], [0000000000000000])`,
			"timer_create(1, [0…10…], [0100000000000000])",
			"timer_delete(*<id of timer 1>)",
			`timer_create(1, [${event}0…], [0200000000000000])`,
			"prctl(77, 0, 0, 0, 0) or error 22",
			"timer_getoverrun(0)",
			"timer_getoverrun(2)",
		]);
	});

	it("need a kernel that can be asked for an id where there are too many gaps", () => {
		const plan = planOf([leaderOf()], { posixTimers: [timer(0x7fff_ffff)] });
		expect(linesOf(plan, "leader", "timers")).toEqual([
			"prctl(77, 1, 0, 0, 0)",
			expect.stringMatching(/^timer_create\(1, \[.*\], \[ffffff7f00000000\]\)$/),
			"prctl(77, 0, 0, 0, 0)",
		]);
	});

	it("count the processor time of whom they counted, under ids that it had", () => {
		const plan = planOf([leaderOf()], { posixTimers: [timer(0, { clock: (~PID << 3) | 6 })] });
		expect(linesOf(plan, "leader", "timers")[1]).toMatch(new RegExp(`^timer_create\\(-${PID * 8 + 2}, `));
	});

	it("start when everything else is done, and only if they ran", () => {
		const plan = planOf([leaderOf({ parentDeathSignal: 15 })], {
			posixTimers: [timer(1, { remaining: 3_000_000_004n, interval: 5n }), timer(2, { interval: 5n })],
			intervalTimers: {
				real: { remaining: 2_000_003n, interval: 1n },
				virtual: { remaining: 0n, interval: 9n },
				profiling: { remaining: 0n, interval: 0n },
			},
		});
		const word = (value: number): string => Buffer.from([value, 0, 0, 0, 0, 0, 0, 0]).toString("hex");
		expect(linesOf(plan, "leader", "leave").slice(0, -1)).toEqual([
			"write(*<report socket>, [640000000000000000000000000000000000000000000000], 24) = 24",
			"read(*<report socket>, <the word to go>, 1) = 1",
			`setitimer(0, [${[0, 1, 2, 3].map(word).join("")}], 0)`,
			`timer_settime(1, 0, [${[0, 5, 3, 4].map(word).join("")}], 0)`,
			"prctl(1, 15, 0, 0, 0)",
			"prctl(4, 1, 0, 0, 0)",
			"close(*<report socket>)",
			"futex(<go>, 5, 0x7fffffff, 0, <go>, 0x2001000)",
		]);
		expect(plan.findings).toEqual([
			caution("parent", "process 100", "gets SIGTERM when its parent ends, and that is now the restorer"),
		]);
	});

	it("say what is not known of them", () => {
		const plan = planOf([leaderOf()], {
			posixTimers: [timer(1, { notify: 4 }), timer(2, { clock: 3, overrun: 7 }), timer(3, { clock: -2 })],
		});
		expect(plan.findings.map(({ subject, text }) => `${subject} ${text}`)).toEqual([
			"timer 1 was for a thread that is not known; its signals go to the first",
			"timer 2 counted the processor time of a thread that is not known; now it is the first's",
			"timer 2 had expired 7 times unseen; that count starts again",
			"timer 3 counted the processor time of a thread that is not known; now it is the first's",
		]);
		expect(hexOf(plan, "event of timer 1").slice(24, 40)).toBe("0400000064000000");
	});
});
