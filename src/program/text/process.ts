import { capabilityName, capUserData } from "../../linux/credentials.ts";
import { ALL_WAITERS, FUTEX } from "../../linux/futex.ts";
import { ARCH, PR, PR_CAP_AMBIENT, PR_SET_MM, prctlMmMap } from "../../linux/prctl.ts";
import { limitNames, rlimit64 } from "../../linux/resource.ts";
import { CLONE, cloneArgs, SCHED } from "../../linux/sched.ts";
import type { CallName } from "../calls.ts";
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
} from "./spell.ts";
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

const clone = pointerTo(
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

export const processCalls: Partial<Record<CallName, readonly Spell[]>> = {
	arch_prctl: [oneOf(ARCH, "ARCH_"), pointer],
	await: [pointer, int],
	capset: [pointer, capabilities],
	clone: [clone, count, pointer, hexadecimal],
	clone3: [clone, count],
	cpuid: [hexadecimal, hexadecimal, pointer],
	exit: [int],
	exit_group: [int],
	futex: [pointer, futex, waiters, pointer, pointer, wakeOp],
	personality: [hexadecimal],
	prctl: [oneOf(PR, "PR_"), ...[1, 2, 3, 4].map(prctlArgument)],
	prlimit64: [int, limit, limits, pointer],
	rseq: [pointer, count, flags({ RSEQ_FLAG_UNREGISTER: 1 }), hexadecimal],
	sched_setaffinity: [int, count, pointer],
	sched_setscheduler: [int, policy, priority],
	set_robust_list: [pointer, count],
	set_tid_address: [pointer],
	setfsgid: [int],
	setfsuid: [int],
	setgroups: [count, ids(0)],
	setpgid: [int, int],
	setpriority: [who, int, int],
	setresgid: [int, int, int],
	setresuid: [int, int, int],
	setrlimit: [limit, limits],
	setns: [int, namespaces],
	spawn: [clone, count, pointer, hexadecimal],
	unshare: [namespaces],
	wait4: [int, pointer, octal, pointer],
};
