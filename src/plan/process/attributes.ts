import { bytesFromText } from "../../bytes/text.ts";
import { caution, loss } from "../../finding.ts";
import { entriesOf, type ThreadAttribute, threadAttributes } from "../../forest/attributes.ts";
import type { Task, Thread } from "../../forest/task.ts";
import { CAP, KEYCTL, KEYRING } from "../../linux/credentials.ts";
import { EDQUOT, EINVAL, EPERM } from "../../linux/errno.ts";
import { AT_FDCWD } from "../../linux/fcntl.ts";
import { MAX_NODE, MODE_BITS, MODE_MASK, NODE_MASK_BYTES } from "../../linux/mempolicy.ts";
import { O } from "../../linux/open.ts";
import { ARCH, PR, PR_MCE_KILL, PR_SPEC_OF } from "../../linux/prctl.ts";
import { IOPRIO_CLASS_RT, IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS, REGISTRATIONS } from "../../linux/sched.ts";
import type { Arg, Place } from "../../program/args.ts";
import type { ArgsOf, CallName } from "../../program/calls.ts";
import { bytesDatum, cellDatum, pathDatum } from "../../program/data.ts";
import type { StepOptions } from "../../program/program.ts";
import type { Context } from "../context.ts";
import { hasCapability } from "../host-rights.ts";
import type { ListDraft, Part } from "../part.ts";

type Give = (value: bigint, context: GivenAttribute) => void;

/** A thread, and what its list gets. */
interface GivenAttribute {
	readonly subject: string;
	readonly context: Context;
	readonly add: <C extends CallName>(call: C, args: ArgsOf<C, Arg>, why: string, options?: StepOptions) => void;
}

const prctl = (
	{ add }: GivenAttribute,
	option: number,
	[first = 0n, second = 0n]: readonly [bigint?, bigint?],
	why: string,
	options?: StepOptions,
): void => add("prctl", [BigInt(option), first, second, 0n, 0n], why, options);

const speculation =
	(which: number): Give =>
	(value, given) =>
		prctl(given, PR.SET_SPECULATION_CTRL, [BigInt(which), value], "what the processor may guess");

const give: Readonly<Record<ThreadAttribute, Give>> = {
	personality: (value, { add }) => add("personality", [value], "its personality"),
	affinity: giveAffinity,
	"io-priority": (value, { add, context, subject }) => {
		const privileged = value >> IOPRIO_CLASS_SHIFT === IOPRIO_CLASS_RT;
		if (
			privileged &&
			!hasCapability(context.facts, CAP.SYS_NICE, "system") &&
			!hasCapability(context.facts, CAP.SYS_ADMIN, "system")
		)
			context.draft.report(loss("attribute", subject, "had real-time I/O priority, which takes CAP_SYS_NICE"));
		const args = [BigInt(IOPRIO_WHO_PROCESS), 0n, value] as const;
		add("ioprio_set", args, "its I/O priority", privileged ? { expect: { successOr: EPERM } } : {});
	},
	"timer-slack": (value, given) => prctl(given, PR.SET_TIMERSLACK, [value], "how late its timers may be"),
	"memory-policy": (value, { add, context, subject }) => {
		const policy = policyIn(value, subject, context);
		if (policy !== undefined) add("set_mempolicy", policy, "nodes of its memory", { expect: { successOr: EINVAL } });
	},
	tsc: (value, given) => prctl(given, PR.SET_TSC, [value], "whether rdtsc is a fault"),
	"memory-errors": (value, given) =>
		prctl(given, PR.MCE_KILL, [BigInt(PR_MCE_KILL.SET), value], "when a broken page kills it"),
	cpuid: (value, { add }) => add("arch_prctl", [BigInt(ARCH.SET_CPUID), value], "cpuid is a fault"),
	"io-flusher": (value, given) => {
		const { context, subject } = given;
		if (!hasCapability(context.facts, CAP.SYS_RESOURCE, "system"))
			context.draft.report(loss("attribute", subject, "was an I/O flusher, which takes CAP_SYS_RESOURCE"));
		prctl(given, PR.SET_IO_FLUSHER, [value], "reclaim does not wait for it", { expect: { successOr: EPERM } });
	},
	"store-bypass": speculation(PR_SPEC_OF.STORE_BYPASS),
	"indirect-branch": speculation(PR_SPEC_OF.INDIRECT_BRANCH),
	"l1d-flush": speculation(PR_SPEC_OF.L1D_FLUSH),
};

/** Of the thread that runs the list, when all memory is there: a personality changes what is mapped from then on. */
export function addThreadAttributes(list: ListDraft, thread: Thread, context: Context): void {
	const given: GivenAttribute = {
		subject: `thread ${thread.tid}`,
		context,
		add: (call, args, why, options) => list.add("threads", call, args, why, options),
	};
	for (const [name, value] of entriesOf(threadAttributes, thread.attributes)) give[name](value, given);
}

function giveAffinity(value: bigint, { add, context, subject }: GivenAttribute): void {
	const { facts, draft } = context;
	const here = facts.online === undefined ? value : value & facts.online;
	if (here !== value)
		draft.report(
			(here === 0n ? loss : caution)(
				"attribute",
				subject,
				`kept to processors of mask 0x${value.toString(16)}, of which this host has ${here === 0n ? "none: it runs on any" : `0x${here.toString(16)}`}`,
			),
		);
	if (here === 0n) return;
	const mask = bytesOf(here, Math.ceil(here.toString(2).length / 64) * 8);
	const place = bytesDatum(`processors of ${subject}`, mask);
	// a cpuset may have none of them
	add("sched_setaffinity", [0n, BigInt(mask.length), place], "its processors", { expect: { successOr: EINVAL } });
}

/** Arguments of set_mempolicy(2); `undefined` where this host lacks a node of it. */
function policyIn(
	value: bigint,
	subject: string,
	{ draft, facts }: Context,
): readonly [bigint, Place | bigint, bigint] | undefined {
	const [mode, nodes] = [value & MODE_MASK, value >> MODE_BITS];
	if (facts.nodes !== undefined && (nodes & ~facts.nodes) !== 0n) {
		draft.report(loss("attribute", subject, `had memory on nodes of mask 0x${nodes.toString(16)}; not all are here`));
		return undefined;
	}
	if (nodes === 0n) return [mode, 0n, 0n];
	return [mode, bytesDatum(`nodes of ${subject}`, bytesOf(nodes, NODE_MASK_BYTES)), BigInt(MAX_NODE)];
}

/** Policies of mappings, before their pages come. */
export function addMappingPolicies({ memory: { mappings } }: Pick<Task, "memory">, context: Context): void {
	const list = context.draft.leader;
	for (const { start, end, attributes } of mappings) {
		const value = attributes?.["memory-policy"];
		const policy = value === undefined ? undefined : policyIn(value, `mapping 0x${start.toString(16)}`, context);
		if (policy !== undefined)
			list.add("map", "mbind", [start, end - start, ...policy, 0n], "nodes of its pages", {
				expect: { successOr: EINVAL },
			});
	}
}

/** When nothing of them changes any more. */
export function sealMappings({ memory: { mappings } }: Pick<Task, "memory">, { draft }: Context): void {
	for (const { start, end, attributes } of mappings)
		if (attributes?.sealed === 1n)
			draft.leader.add("protect", "mseal", [start, end - start, 0n], "can no longer be changed (Linux 6.10)");
}

/** What belongs to the whole address space, and to nobody but the process: before there are threads. */
export function planAttributes({ attributes = {} }: Task, { draft, facts }: Context): Part {
	const leader = draft.leader;
	const filter = attributes["coredump-filter"];
	if (filter !== undefined) {
		const text = bytesFromText(`0x${filter.toString(16)}`);
		const file = cellDatum("descriptor of coredump_filter");
		const path = pathDatum("path of coredump_filter", "/proc/self/coredump_filter");
		const why = "what its core would hold";
		leader.add("identity", "openat", [AT_FDCWD, path, BigInt(O.WRONLY | O.CLOEXEC)], why, { save: file });
		const datum = bytesDatum("coredump_filter", text);
		leader.add("identity", "write", [{ valueOf: file }, datum, BigInt(text.length)], why);
		leader.add("identity", "close", [{ valueOf: file }], "its filter is set");
	}
	// what the restorer may use is none of its business
	if (facts.keyrings === true)
		leader.add(
			"identity",
			"keyctl",
			[BigInt(KEYCTL.JOIN_SESSION_KEYRING), 0n, 0n, 0n, 0n],
			"a session keyring of its own",
		);
	return draft.made();
}

/** The same, once all memory is there. */
export function planMemoryAttributes({ attributes = {} }: Task, { draft }: Context): Part {
	const leader = draft.leader;
	const { membarrier = 0n } = attributes;
	for (let bit = 0n; membarrier >> bit > 0n; bit++)
		if (((membarrier >> bit) & 1n) === 1n && (REGISTRATIONS & (1n << bit)) !== 0n)
			leader.add("bounds", "membarrier", [1n << bit, 0n, 0n], "has registered for memory barriers");
	if (attributes["same-page-merging"] === 1n)
		leader.add("bounds", "prctl", [BigInt(PR.SET_MEMORY_MERGE), 1n, 0n, 0n, 0n], "equal pages may be merged", {
			expect: { successOr: EINVAL },
		});
	return draft.made();
}

/** With the credentials it has in the end: whose keyring is the user's, and what no longer may be mapped. */
export function planLateAttributes({ attributes = {} }: Task, { draft, facts }: Context): Part {
	const leader = draft.leader;
	if (facts.keyrings === true && attributes["user-keyring"] === 1n)
		leader.add(
			"credentials",
			"keyctl",
			[BigInt(KEYCTL.LINK), BigInt.asUintN(64, KEYRING.USER), BigInt.asUintN(64, KEYRING.SESSION), 0n, 0n],
			"the keys of its user, as it had",
			{ expect: { successOr: EDQUOT } },
		);
	const mdwe = attributes["write-execute"];
	if (mdwe !== undefined)
		leader.add("credentials", "prctl", [BigInt(PR.SET_MDWE), mdwe, 0n, 0n, 0n], "memory it writes is never executed");
	return draft.made();
}

function bytesOf(value: bigint, length: number): Uint8Array {
	const bytes = new Uint8Array(length);
	for (let i = 0; i < length; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
	return bytes;
}
