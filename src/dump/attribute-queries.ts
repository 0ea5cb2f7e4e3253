import { i32, u64, viewOf } from "../bytes/layout.ts";
import type { Attributes, ProcessAttribute, ThreadAttribute } from "../forest/attributes.ts";
import { KEYCTL, KEYRING } from "../linux/credentials.ts";
import { MAX_NODE, MODE_BITS, NODE_MASK_BYTES } from "../linux/mempolicy.ts";
import { ARCH, PR, PR_MCE_KILL, PR_SPEC, PR_SPEC_OF, PR_TSC_ENABLE } from "../linux/prctl.ts";
import { IOPRIO_CLASS_SHIFT, IOPRIO_WHO_PROCESS, MEMBARRIER_GET_REGISTRATIONS } from "../linux/sched.ts";
import type { Arg, Place } from "../program/args.ts";
import type { CallName } from "../program/calls.ts";
import { cellDatum, spaceDatum } from "../program/data.ts";

/** State of a process that no restore recreates. */
export interface Unrestored {
	/** Whether it has a local descriptor table (modify_ldt(2)). */
	readonly localDescriptors: boolean;
	/** XSAVE components that it was permitted to use (ARCH_REQ_XCOMP_PERM), bit n for component n. */
	readonly registerFeatures: bigint;
	readonly keyrings: Keyrings;
}

/** Serial numbers of keys; empty where the kernel has no keyrings, or a seccomp filter forbids keyctl(2). */
export interface Keyrings {
	readonly session: readonly number[];
	readonly user?: number;
	/** Whether it has keyrings for itself and for its first thread. */
	readonly own: boolean;
}

/** The keys of a session keyring that are looked at. */
const MOST_KEYS = 64;

const USUAL_PERSONALITY = 0xffff_ffffn;
const USUAL_SLACK = 50_000n;

/** Asks about the attributes of the thread that runs the list; those of a new process are left out. */
export function askThreadAttributes(ask: Ask): (recall: Recall) => Attributes<ThreadAttribute> {
	const readers: ((recall: Recall) => readonly [ThreadAttribute, bigint | undefined])[] = [];
	const result = (
		name: ThreadAttribute,
		call: CallName,
		args: readonly Arg[],
		read: (result: bigint) => bigint | undefined,
	) => {
		const cell = cellDatum(name);
		ask(call, args, name, cell);
		readers.push((recall) => {
			const told = signed(recall, cell);
			return [name, told < 0n ? undefined : read(told)];
		});
	};
	const prctl = (name: ThreadAttribute, option: number, read: (result: bigint) => bigint | undefined, which = 0) =>
		result(name, "prctl", [BigInt(option), BigInt(which), 0n, 0n, 0n], read);
	const unlike =
		(...usual: readonly bigint[]) =>
		(value: bigint): bigint | undefined =>
			usual.includes(value) ? undefined : value;

	result("personality", "personality", [USUAL_PERSONALITY], unlike(0n));
	result("io-priority", "ioprio_get", [BigInt(IOPRIO_WHO_PROCESS), 0n], (value) =>
		value >> IOPRIO_CLASS_SHIFT === 0n ? undefined : value,
	);
	// real-time threads have none: it reads as 0
	prctl("timer-slack", PR.GET_TIMERSLACK, unlike(0n, USUAL_SLACK));
	prctl("memory-errors", PR.MCE_KILL_GET, unlike(BigInt(PR_MCE_KILL.DEFAULT)));
	prctl("io-flusher", PR.GET_IO_FLUSHER, unlike(0n));
	prctl("store-bypass", PR.GET_SPECULATION_CTRL, restricted, PR_SPEC_OF.STORE_BYPASS);
	prctl("indirect-branch", PR.GET_SPECULATION_CTRL, restricted, PR_SPEC_OF.INDIRECT_BRANCH);
	prctl("l1d-flush", PR.GET_SPECULATION_CTRL, flushed, PR_SPEC_OF.L1D_FLUSH);
	result("cpuid", "arch_prctl", [BigInt(ARCH.GET_CPUID), 0n], unlike(1n));

	const tsc = cellDatum("tsc");
	ask("prctl", [BigInt(PR.GET_TSC), tsc, 0n, 0n, 0n], "tsc");
	readers.push((recall) => {
		const mode = i32.read(viewOf(recall(tsc, 8)), 0);
		return ["tsc", mode === 0 || mode === PR_TSC_ENABLE ? undefined : BigInt(mode)];
	});
	const [mode, nodes] = [cellDatum("memory policy"), spaceDatum("nodes of its memory", NODE_MASK_BYTES)];
	ask("get_mempolicy", [mode, nodes, BigInt(MAX_NODE), 0n, 0n], "memory policy");
	readers.push((recall) => {
		const policy = BigInt(i32.read(viewOf(recall(mode, 8)), 0) & 0xffff);
		const mask = recall(nodes, NODE_MASK_BYTES).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
		return ["memory-policy", policy === 0n ? undefined : policy | (mask << MODE_BITS)];
	});
	return (recall) => known(readers.map((read) => read(recall)));
}

/** Speculation control is an attribute only where prctl may change it; otherwise it is set for the whole system. */
const restricted = (told: bigint): bigint | undefined => {
	const limits = told & BigInt(PR_SPEC.DISABLE | PR_SPEC.FORCE_DISABLE | PR_SPEC.DISABLE_NOEXEC);
	return (told & BigInt(PR_SPEC.PRCTL)) === 0n || limits === 0n ? undefined : limits;
};
const flushed = (told: bigint): bigint | undefined =>
	(told & BigInt(PR_SPEC.PRCTL)) !== 0n && (told & BigInt(PR_SPEC.ENABLE)) !== 0n ? BigInt(PR_SPEC.ENABLE) : undefined;

/** Asks about what all threads share. */
export function askProcessAttributes(
	ask: Ask,
): (recall: Recall) => { readonly attributes: Attributes<ProcessAttribute>; readonly beyond: Unrestored } {
	const cell = (name: string, call: CallName, args: readonly Arg[]): Place => {
		const place = cellDatum(name);
		ask(call, args, name, place);
		return place;
	};
	const prctl = (name: string, option: number): Place => cell(name, "prctl", [BigInt(option), 0n, 0n, 0n, 0n]);
	const registrations = cell("membarrier", "membarrier", [BigInt(MEMBARRIER_GET_REGISTRATIONS), 0n, 0n]);
	const mdwe = prctl("write-execute", PR.GET_MDWE);
	const merging = prctl("same-page-merging", PR.GET_MEMORY_MERGE);
	const entry = cellDatum("an entry of its descriptor table");
	const table = cell("local descriptor table", "modify_ldt", [0n, entry, 8n]);
	const features = cellDatum("register features");
	ask("arch_prctl", [BigInt(ARCH.GET_XCOMP_PERM), features], "register features");
	const keyring = (name: string, id: bigint): Place =>
		cell(name, "keyctl", [BigInt(KEYCTL.GET_KEYRING_ID), id, 0n, 0n, 0n]);
	const own = [keyring("keyring of its thread", KEYRING.THREAD), keyring("keyring of its process", KEYRING.PROCESS)];
	const user = keyring("keyring of its user", KEYRING.USER);
	const keys = spaceDatum("keys of its session", 4 * MOST_KEYS);
	const length = cell("session keyring", "keyctl", [
		...[BigInt(KEYCTL.READ), KEYRING.SESSION, keys],
		...[BigInt(4 * MOST_KEYS), 0n],
	]);
	return (recall) => {
		const number = (place: Place): bigint => {
			const told = signed(recall, place);
			return told < 0n ? 0n : told;
		};
		const count = Math.min(Number(number(length)) >> 2, MOST_KEYS);
		const held = viewOf(recall(keys, 4 * MOST_KEYS));
		const session = Array.from({ length: count }, (_, i) => i32.read(held, 4 * i));
		const ofUser = Number(number(user));
		return {
			attributes: known<ProcessAttribute>([
				["membarrier", number(registrations) || undefined],
				["write-execute", number(mdwe) || undefined],
				["same-page-merging", number(merging) || undefined],
				["user-keyring", ofUser !== 0 && session.includes(ofUser) ? 1n : undefined],
			]),
			beyond: {
				// an error comes as an unsigned number of 32 bits
				localDescriptors: number(table) === 8n,
				registerFeatures: u64.read(viewOf(recall(features, 8)), 0),
				keyrings: {
					session,
					...(ofUser === 0 ? {} : { user: ofUser }),
					own: own.some((place) => number(place) !== 0n),
				},
			},
		};
	};
}

const signed = (recall: Recall, place: Place): bigint => BigInt.asIntN(64, u64.read(viewOf(recall(place, 8)), 0));

const known = <Name extends string>(all: readonly (readonly [Name, bigint | undefined])[]): Attributes<Name> =>
	Object.fromEntries(all.filter(([, value]) => value !== undefined)) as Attributes<Name>;

/** Reads so many bytes of the process where the plan has a place. */
export type Recall = (place: Place, length: number) => Uint8Array;

export type Ask = (call: CallName, args: readonly Arg[], why: string, save?: Place) => void;
