import { isRseqRegistered, rseqArea } from "../../arch/x86-64/rseq.ts";
import { legalMxcsr, PKRU, type Xstate } from "../../arch/x86-64/xstate.ts";
import { componentBit, HI16_ZMM, OPMASK, ZMM_HI256 } from "../../arch/x86-64/xstate-components.ts";
import { type Address, address, hex, plus } from "../../bytes/address.ts";
import { defined } from "../../bytes/defined.ts";
import { caution, type Finding, loss, note } from "../../finding.ts";
import type { PartialMemory, PartialTask } from "../../forest/partial-task.ts";
import type { AlternateStack, Credentials, Rseq, Thread } from "../../forest/task.ts";
import { signalSetText } from "../../linux/signal.ts";
import type { Rebase, Rebased } from "../donor/rebase.ts";
import type { ThreadPair } from "../donor/thread-pairs.ts";
import { goSignalStacks, reportGoStacks } from "../evidence/go-stacks.ts";
import { recreatePending } from "../evidence/pending.ts";
import { completeRegisters } from "../evidence/registers.ts";
import { type FrameOf, signalFrames } from "../evidence/signal-frame.ts";

const AVX512 = componentBit(OPMASK) | componentBit(ZMM_HI256) | componentBit(HI16_ZMM);

interface CompletedThreadContext {
	readonly moved: Rebase;
	readonly credentials: (donor: Credentials) => Credentials;
	readonly report: (finding: Finding) => void;
}

/** What of signal stacks the core proves, whatever the donor's were. */
interface ProvenStacks {
	readonly frameOf: FrameOf;
	/** By thread id. */
	readonly goStacks: ReadonlyMap<number, AlternateStack>;
}

/** Every thread of the dead process, with the donor's thread attributes rebased to its addresses. */
export function completeThreads(
	dead: PartialTask,
	pairs: readonly ThreadPair[],
	around: CompletedThreadContext,
): Thread[] {
	if (dead.writer === "gdb")
		around.report(caution("masks-lost", "all threads", "gdb's cores hold no signal masks; the donor's are used"));
	const goStacks = goSignalStacks(dead);
	reportGoStacks(goStacks, around.report);
	const stacks: ProvenStacks = { frameOf: signalFrames(dead.threads, dead.memory), goStacks };
	return pairs.map((pair, i) => completeThread(dead, pair, i === 0 && dead.leaderEnded !== true, stacks, around));
}

function completeThread(
	dead: PartialTask,
	pair: ThreadPair,
	leader: boolean,
	{ frameOf, goStacks }: ProvenStacks,
	around: CompletedThreadContext,
): Thread {
	const { moved, report } = around;
	const { tid } = pair.dead;
	const subject = `thread ${tid}`;
	const pointers = { donor: address(pair.donor.registers.fs_base), dead: address(pair.dead.registers.fs_base) };
	const carry = (donor: Address | undefined): Rebased | undefined =>
		donor === undefined ? undefined : moved.inThread(donor, pointers);

	const clearTid = carry(pair.donor.clearTid)?.address;
	confirmTid(dead.memory, clearTid, tid, report);
	const robustList = carry(pair.donor.robustList)?.address;
	if (pair.donor.robustList !== undefined && robustList === undefined)
		report(
			caution(
				"address-unmapped",
				subject,
				`robust futex list at ${hex(pair.donor.robustList)} of the donor has no place here; it is not registered`,
			),
		);
	const rseq = carryRseq(dead.memory, pair, carry, subject, report);
	const alternateStack =
		provenAlternateStack(frameOf, pair, subject, report) ??
		// what the core itself tells goes before what the donor had
		pair.dead.alternateStack ??
		goStacks.get(tid) ??
		carryAlternateStack(pair, carry, subject, report);
	const blocked = pair.dead.blocked ?? pair.donor.blocked;
	const pending = recreatePending(pair.dead.pending, blocked);
	if (pending.length > 0)
		report(
			caution(
				"pending-lost",
				subject,
				`${signalSetText(pair.dead.pending & blocked)} pending; queued again, but who sent it is not in a core`,
			),
		);
	if (pair.dead.shadowStack !== undefined)
		report(
			loss(
				"xstate",
				subject,
				`ran with a shadow stack (pointer ${hex(pair.dead.shadowStack)}); it resumes without one`,
			),
		);
	return {
		tid,
		name: leader || !pair.own ? dead.comm : pair.donor.name,
		registers: completeRegisters(pair.dead.registers, dead.memory, rseq, subject, report),
		xstate: completeXstate(dead, pair, subject, report),
		blocked,
		pending,
		scheduling: pair.donor.scheduling,
		parentDeathSignal: pair.donor.parentDeathSignal,
		credentials: around.credentials(pair.donor.credentials),
		seccomp: pair.donor.seccomp,
		...defined({ attributes: pair.donor.attributes, clearTid, robustList, rseq, alternateStack }),
	};
}

/** Checks the rebased address against the core: glibc stores the tid in the word that the kernel is to clear. */
function confirmTid(
	memory: PartialMemory,
	at: Address | undefined,
	tid: number,
	report: (finding: Finding) => void,
): void {
	if (at === undefined) {
		report(
			caution(
				"thread-state",
				`thread ${tid}`,
				"the address to clear at its end is unknown; whoever joins it will wait for ever",
			),
		);
		return;
	}
	const stored = memory.read(at, 4)?.readInt32LE(0);
	if (stored === undefined || stored === tid) return;
	// folklore: musl's threads clear the global __thread_list_lock instead (musl 1.1.22 and later, src/env/__init_tls.c), which reads 0
	if (stored === 0) return;
	report(
		caution(
			"thread-state",
			`thread ${tid}`,
			`its control block at ${hex(at)} holds thread id ${stored}; the donor's libc may be another one`,
		),
	);
}

function carryRseq(
	memory: PartialMemory,
	pair: ThreadPair,
	carry: (at: Address) => Rebased | undefined,
	subject: string,
	report: (finding: Finding) => void,
): Rseq | undefined {
	const { rseq } = pair.donor;
	if (rseq === undefined) return undefined;
	const area = carry(rseq.area)?.address;
	const bytes = area === undefined ? undefined : memory.read(area, rseqArea.size);
	if (area === undefined || bytes === undefined) {
		report(
			caution("rseq", subject, `the area at ${hex(rseq.area)} of the donor has no place here; it is not registered`),
		);
		return undefined;
	}
	// rseq was off in the dead process (GLIBC_TUNABLES), or its kernel lacked it
	if (!isRseqRegistered(rseqArea.decode(bytes))) {
		report(note("rseq", subject, "was not registered in the dead process, nor is it now"));
		return undefined;
	}
	return { ...rseq, area };
}

/** A signal frame on a thread's stack proves its alternate stack, whatever the donor's was. */
function provenAlternateStack(
	frameOf: FrameOf,
	pair: ThreadPair,
	subject: string,
	report: (finding: Finding) => void,
): AlternateStack | undefined {
	const frame = frameOf(pair.dead);
	if (frame?.alternateStack === undefined) return undefined;
	const { base, size } = frame.alternateStack;
	report(
		note(
			"thread-deduced",
			subject,
			`its signal stack at ${hex(base)}-${hex(plus(base, size))} is in the frame of the handler that it was in`,
		),
	);
	return frame.alternateStack;
}

function carryAlternateStack(
	pair: ThreadPair,
	carry: (at: Address) => Rebased | undefined,
	subject: string,
	report: (finding: Finding) => void,
): AlternateStack | undefined {
	const stack = pair.donor.alternateStack;
	if (stack === undefined || !pair.own) return undefined;
	const base = carry(stack.base);
	const last = carry(plus(stack.base, stack.size - 1n));
	if (base === undefined || last === undefined || last.address - base.address !== stack.size - 1n) {
		report(
			loss(
				"alternate-stack",
				subject,
				`the donor's signal stack at ${hex(stack.base)} has no place here; handlers run on the thread's own stack`,
			),
		);
		return undefined;
	}
	if (base.by === "heap" || base.by === "shape")
		report(
			caution(
				"alternate-stack",
				subject,
				`signal stack assumed at ${hex(base.address)}, by the donor's ${base.by === "heap" ? "heap" : "mappings"}`,
			),
		);
	return { ...stack, base: base.address };
}

function completeXstate(
	dead: PartialTask,
	pair: ThreadPair,
	subject: string,
	report: (finding: Finding) => void,
): Xstate {
	if (pair.dead.xstate === undefined) {
		report(loss("xstate", subject, "the core has no FPU state; it starts with the donor's"));
		return pair.donor.xstate;
	}
	// a reserved bit, from a damaged core or a processor with more of them, would kill the thread as it resumes
	const { fx } = pair.dead.xstate;
	const own = { ...pair.dead.xstate, fx: { ...fx, mxcsr: legalMxcsr(fx) } };
	// folklore: gdb 13.1 reads the kernel's area with Intel's offsets; on a CPU that packs components tighter (AMD) it
	// finds zeros for PKRU and marks it in use, which would unlock every protection key
	const pkru = own.components.get(PKRU);
	const donors = pair.donor.xstate.components.get(PKRU);
	if (dead.writer === "gdb" && (own.xstateBv & AVX512) !== 0n)
		report(
			caution("xstate", subject, "gdb's cores misplace AVX-512 registers on CPUs that lay them out unlike Intel's"),
		);
	if (dead.writer === "gdb" && donors !== undefined && (pkru === undefined || pkru.every((byte) => byte === 0))) {
		const used = (1n << BigInt(PKRU)) & pair.donor.xstate.xstateBv;
		return { ...own, xstateBv: own.xstateBv | used, components: new Map([...own.components, [PKRU, donors]]) };
	}
	return own;
}
