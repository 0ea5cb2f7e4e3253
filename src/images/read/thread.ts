import { userRegs } from "../../arch/x86-64/registers.ts";
import { address } from "../../bytes/address.ts";
import { xstateFromEntry } from "../../criu/fpregs.ts";
import type { CoreEntry, CredsEntry, TaskCoreEntry, ThreadCoreEntry } from "../../criu/wire/generated/schema.ts";
import { refuse } from "../../errors.ts";
import type { Credentials, Thread } from "../../forest/task.ts";
import { SS_DISABLE } from "../../linux/signal.ts";
import { type SideRecord, unlessEmpty } from "./side-record.ts";

const X86_64 = 1;

/** A thread from its core image. @param tc the task part of its leader's. */
export function threadFrom(
	tid: number,
	core: CoreEntry,
	tc: TaskCoreEntry,
	beside: SideRecord,
	subject: string,
): Thread {
	const { thread_info: info, thread_core: attributes } = core;
	if (core.mtype !== X86_64)
		return refuse("ERR_DONOR_MISMATCH", {
			subject,
			finding: `is of machine type ${core.mtype}`,
			expectation: "expected 1 (x86-64)",
		});
	if (info === undefined || attributes === undefined || attributes.creds === undefined)
		return refuse("ERR_IMAGE_CORRUPT", {
			subject,
			finding: "lacks registers, attributes or credentials",
			expectation: "expected a living thread",
		});
	const { sas } = attributes;
	const rseq = attributes.rseq_entry;
	const { personality = BigInt(tc.personality), ...own } = beside.thread(tid);
	return {
		tid,
		name: attributes.comm ?? tc.comm,
		registers: userRegs.decode(userRegs.encode(info.gpregs)),
		xstate: xstateFromEntry(info.fpregs),
		// the leader's mask stands in the task part (criu-facts B.2)
		blocked: core.tc?.blk_sigset ?? attributes.blk_sigset ?? 0n,
		pending: (attributes.signals_p?.signals ?? []).map(({ siginfo }) => siginfo),
		scheduling: schedulingFrom(attributes),
		parentDeathSignal: attributes.pdeath_sig ?? 0,
		credentials: credentialsFrom(attributes.creds),
		seccomp: (["none", "strict", "filter"] as const)[attributes.seccomp_mode ?? 0] ?? "none",
		...unlessEmpty({ ...own, ...(personality === 0n ? {} : { personality }) }),
		...(info.clear_tid_addr === 0n ? {} : { clearTid: address(info.clear_tid_addr) }),
		...(attributes.futex_rla_len === 0 || attributes.futex_rla === 0n
			? {}
			: { robustList: address(attributes.futex_rla) }),
		...(sas === undefined || (sas.ss_flags & SS_DISABLE) !== 0
			? {}
			: { alternateStack: { base: address(sas.ss_sp), size: sas.ss_size, flags: sas.ss_flags } }),
		...(rseq === undefined || rseq.rseq_abi_pointer === 0n
			? {}
			: { rseq: { area: address(rseq.rseq_abi_pointer), size: rseq.rseq_abi_size, signature: rseq.signature } }),
	};
}

const schedulingFrom = (attributes: ThreadCoreEntry): Thread["scheduling"] => ({
	nice: attributes.sched_nice ?? 0,
	policy: attributes.sched_policy ?? 0,
	priority: attributes.sched_prio ?? 0,
});

const capabilities = (words: readonly number[]): bigint => BigInt(words[0] ?? 0) | (BigInt(words[1] ?? 0) << 32n);

const credentialsFrom = (creds: CredsEntry): Credentials => ({
	uid: creds.uid,
	gid: creds.gid,
	euid: creds.euid,
	egid: creds.egid,
	suid: creds.suid,
	sgid: creds.sgid,
	fsuid: creds.fsuid,
	fsgid: creds.fsgid,
	groups: creds.groups,
	inheritable: capabilities(creds.cap_inh),
	permitted: capabilities(creds.cap_prm),
	effective: capabilities(creds.cap_eff),
	bounding: capabilities(creds.cap_bnd),
	ambient: capabilities(creds.cap_amb),
	securebits: creds.secbits,
	noNewPrivileges: (creds.no_new_privs ?? 0) !== 0,
});
