import { capabilityName, capUserData, KEYCTL } from "../linux/credentials.ts";
import { ALL_WAITERS, FUTEX } from "../linux/futex.ts";
import { ARCH, PR, PR_CAP_AMBIENT, PR_SET_MM, prctlMmMap } from "../linux/prctl.ts";
import { limitNames, rlimit64 } from "../linux/resource.ts";
import { CLONE, cloneArgs, SCHED } from "../linux/sched.ts";
import { has, inStage, remedy, type SystemCallRows } from "./call-row.ts";
import {
	bytesAt,
	count,
	flags,
	hexadecimal,
	int,
	known,
	literalOf,
	octal,
	oneOf,
	pointer,
	pointerTo,
	type Spell,
	signal,
	text,
} from "./kinds.ts";
import { struct, within } from "./structs.ts";

const limit = oneOf(Object.fromEntries(limitNames.map((name, i) => [`RLIMIT_${name}`, i])));
const limitValue = known((value) => (value === (1n << 64n) - 1n ? "RLIM64_INFINITY" : value.toString()));
const limits = pointerTo(struct(rlimit64, { rlim_cur: limitValue, rlim_max: limitValue }, true));

/** Up to here ids are shown. */
const MOST_IDS = 16;

/** `[100, 4]`: as many 32-bit numbers as another argument says. */
const ids =
	(countIndex: number): Spell =>
	(arg, args) =>
		pointerTo((place) => {
			const wanted = Number(literalOf(args[countIndex]) ?? 0n);
			const view = new DataView(bytesAt(place, Math.min(wanted, MOST_IDS) * 4).buffer);
			const shown = Array.from({ length: view.byteLength / 4 }, (_, i) => `${view.getInt32(i * 4, true)}`);
			return `[${[...shown, ...(wanted > MOST_IDS ? ["…"] : [])].join(", ")}]`;
		})(arg, args);

export const clone = pointerTo(
	struct(cloneArgs, {
		flags: flags(CLONE, "CLONE_"),
		exit_signal: signal,
		stack: pointer,
		tls: pointer,
		stack_size: count,
		set_tid: pointerTo((place) => `[${new DataView(bytesAt(place, 4).buffer).getInt32(0, true)}]`),
		set_tid_size: count,
	}),
);

const namespaces = flags(CLONE, "CLONE_");

const exeDescriptor = known((value) => (value === 0xffff_ffffn ? "-1" : value.toString()));
const bounds = pointerTo(struct(prctlMmMap, { auxv: pointer, auxv_size: count, exe_fd: exeDescriptor }));

const tracerOf = known((value) => (value === (1n << 64n) - 1n ? "PR_SET_PTRACER_ANY" : value.toString()));

const capability = known((value) => capabilityName(Number(value)));

/** What follows the option of prctl(2); five hexadecimal numbers otherwise. */
const prctlSpells: ReadonlyMap<number, readonly Spell[]> = new Map([
	[PR.SET_PDEATHSIG, [signal]],
	[PR.SET_DUMPABLE, [int]],
	[PR.SET_KEEPCAPS, [int]],
	[PR.SET_NAME, [text]],
	[PR.CAPBSET_DROP, [capability]],
	[PR.SET_TIMERSLACK, [int]],
	[PR.SET_THP_DISABLE, [int]],
	[PR.SET_CHILD_SUBREAPER, [int]],
	[PR.SET_PTRACER, [tracerOf]],
	[PR.SET_MM, [oneOf(PR_SET_MM, "PR_SET_MM_"), bounds, count]],
	[PR.CAP_AMBIENT, [oneOf(PR_CAP_AMBIENT, "PR_CAP_AMBIENT_"), capability]],
]);

const prctlArgument =
	(index: number): Spell =>
	(arg, args) =>
		(prctlSpells.get(Number(literalOf(args[0]) ?? -1n))?.[index - 1] ?? hexadecimal)(arg, args);

const who = oneOf({ PRIO_PROCESS: 0, PRIO_PGRP: 1, PRIO_USER: 2 });
const policy = known((value) => {
	const word = oneOf(SCHED, "SCHED_")(value & ~BigInt(SCHED.RESET_ON_FORK), []);
	return (value & BigInt(SCHED.RESET_ON_FORK)) === 0n ? word : `${word}|SCHED_RESET_ON_FORK`;
});
const priority = pointerTo((place) => `[${new DataView(bytesAt(place, 4).buffer).getInt32(0, true)}]`);

const futex = oneOf(FUTEX, "FUTEX_");
const waiters = known((value) => (value === ALL_WAITERS ? "INT_MAX" : value.toString()));

/** What FUTEX_WAKE_OP does to its second word, and when it wakes those who wait there. */
const wakeOp: Spell = (arg, args) =>
	literalOf(args[1]) === BigInt(FUTEX.WAKE_OP)
		? known((value) => {
				const field = (at: bigint, bits: bigint): string => ((value >> at) & ((1n << bits) - 1n)).toString();
				const op = FUTEX_OPS[Number(field(28n, 4n))] ?? field(28n, 4n);
				const compare = FUTEX_COMPARES[Number(field(24n, 4n))] ?? field(24n, 4n);
				return `FUTEX_OP(${op}, ${field(12n, 12n)}, ${compare}, ${field(0n, 12n)})`;
			})(arg, args)
		: hexadecimal(arg, args);

/** include/uapi/linux/futex.h, by number. */
const FUTEX_OPS = ["SET", "ADD", "OR", "ANDN", "XOR"].map((name) => `FUTEX_OP_${name}`);
const FUTEX_COMPARES = ["EQ", "NE", "LT", "LE", "GT", "GE"].map((name) => `FUTEX_OP_CMP_${name}`);

/** The two halves of three sets, as one number each. */
const capabilities = pointerTo((place) => {
	const [low, high] = [0, capUserData.size].map((at) =>
		capUserData.decode(bytesAt(within(place, at), capUserData.size)),
	);
	const whole = (name: keyof typeof capUserData.fields): bigint =>
		(BigInt(high?.[name] ?? 0) << 32n) | BigInt(low?.[name] ?? 0);
	return `{${(["effective", "permitted", "inheritable"] as const).map((name) => `${name}=0x${whole(name).toString(16)}`).join(", ")}}`;
});

export const CHECKPOINT = "needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN";

export const processCalls = {
	gettid: { args: [] },
	ioprio_set: { args: [int, int, hexadecimal] },
	keyctl: { args: [oneOf(KEYCTL, "KEYCTL_"), hexadecimal, hexadecimal, hexadecimal, hexadecimal] },
	membarrier: { args: [hexadecimal, hexadecimal, int] },
	setsid: { args: [] },
	arch_prctl: {
		args: [oneOf(ARCH, "ARCH_"), pointer],
		remedies: [remedy("EEXIST", "the kernel's own vdso is still mapped: this is a bug")],
	},
	capset: {
		args: [pointer, capabilities],
		remedies: [remedy("EPERM", "the process had capabilities that this user has not: restore as root")],
	},
	clone3: {
		args: [clone, count],
		remedies: [
			remedy("EEXIST", "the id is taken: end its holder, or restore with --pid-namespace or --fresh-ids"),
			remedy("EPERM", `${CHECKPOINT} over the pid namespace, or --pid-namespace, or --fresh-ids`),
			remedy("EINVAL", "ids end at kernel.pid_max: raise it, or restore with --pid-namespace or --fresh-ids"),
			remedy("EAGAIN", "too many tasks: raise RLIMIT_NPROC, kernel.threads-max or the cgroup's pids.max"),
		],
	},
	exit: { args: [int] },
	exit_group: { args: [int] },
	futex: { args: [pointer, futex, waiters, pointer, pointer, wakeOp] },
	personality: { args: [hexadecimal] },
	prctl: {
		args: [oneOf(PR, "PR_"), prctlArgument(1), prctlArgument(2), prctlArgument(3), prctlArgument(4)],
		least: 1,
		remedies: [
			remedy("EPERM", CHECKPOINT, has(1, PR_SET_MM.MAP)),
			remedy("EACCES", "give the executable its x permission back", has(1, PR_SET_MM.MAP)),
			remedy("EINVAL", "raise RLIMIT_DATA above data and heap", has(1, PR_SET_MM.MAP)),
			remedy("EPERM", "needs CAP_SETPCAP", has(0, PR.CAPBSET_DROP)),
			remedy("EPERM", "needs CAP_SETPCAP", has(0, PR.SET_SECUREBITS)),
		],
	},
	prlimit64: {
		args: [int, limit, limits, pointer],
		remedies: [remedy("EPERM", "needs CAP_SYS_RESOURCE to raise a hard limit")],
	},
	rseq: { args: [pointer, count, flags({ RSEQ_FLAG_UNREGISTER: 1 }), hexadecimal] },
	sched_setaffinity: { args: [int, count, pointer] },
	sched_setscheduler: {
		args: [int, policy, priority],
		remedies: [remedy("EPERM", "needs CAP_SYS_NICE"), remedy("EACCES", "needs CAP_SYS_NICE")],
	},
	set_robust_list: { args: [pointer, count] },
	set_tid_address: { args: [pointer] },
	setfsgid: { args: [int], remedies: [remedy("EPERM", "needs CAP_SETGID")] },
	setfsuid: { args: [int], remedies: [remedy("EPERM", "needs CAP_SETUID")] },
	setgroups: {
		args: [count, ids(0)],
		remedies: [remedy("EPERM", "needs CAP_SETGID"), remedy("EINVAL", "the user namespace has no such user or group")],
	},
	setpgid: { args: [int, int] },
	setpriority: {
		args: [who, int, int],
		remedies: [remedy("EPERM", "needs CAP_SYS_NICE"), remedy("EACCES", "needs CAP_SYS_NICE")],
	},
	setresgid: {
		args: [int, int, int],
		remedies: [remedy("EPERM", "needs CAP_SETGID"), remedy("EINVAL", "the user namespace has no such user or group")],
	},
	setresuid: {
		args: [int, int, int],
		remedies: [remedy("EPERM", "needs CAP_SETUID"), remedy("EINVAL", "the user namespace has no such user or group")],
	},
	setrlimit: { args: [limit, limits], remedies: [remedy("EPERM", "needs CAP_SYS_RESOURCE to raise a hard limit")] },
	setns: {
		args: [int, namespaces],
		remedies: [
			remedy("EPERM", "needs CAP_SYS_ADMIN for a time namespace: restore with --clock host", inStage("clocks")),
			remedy("EUSERS", "only who has one thread can move: this is a bug", inStage("clocks")),
		],
	},
	unshare: {
		args: [namespaces],
		remedies: [
			remedy("EPERM", "needs CAP_SYS_ADMIN for a time namespace: restore with --clock host", inStage("clocks")),
			remedy(
				"EINVAL",
				"this kernel has no time namespaces (CONFIG_TIME_NS): restore with --clock host",
				inStage("clocks"),
			),
			remedy("ENOSPC", "raise user.max_time_namespaces, or restore with --clock host", inStage("clocks")),
		],
	},
	wait4: { args: [int, pointer, octal, pointer] },
	waitid: { args: [oneOf({ P_ALL: 0, P_PID: 1 }), int, pointer, octal, pointer] },
} as const satisfies SystemCallRows;
